"""Integer networks: what quantisation makes, both references run, and the compiler reads. numpy only."""

from hwprm.intnet.network import GemmLayer, IntegerNetwork, Pool, Residual, Tensor, Term

__all__ = ["GemmLayer", "IntegerNetwork", "Pool", "Residual", "Tensor", "Term"]
