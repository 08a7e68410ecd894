"""Reference networks, and `GraphModule`, which runs and trains any float graph in torch."""

from hwprm.nets.lenet import lenet5, lenet5_graph
from hwprm.nets.module import GraphModule

__all__ = ["GraphModule", "lenet5", "lenet5_graph"]
