"""Structured and unstructured ADMM: projections, budgets, the hooks of training, the rounds."""
