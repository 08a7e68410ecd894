"""hwprm: from a PyTorch network, pruned with structured ADMM and P-RM, to bit-exact systolic-array RTL."""
