"""Reference networks, and `GraphModule`, which runs and trains any float graph in torch."""

from hwprm.nets.catalogue import NETWORKS, image_shape, reference_network
from hwprm.nets.lenet import lenet5, lenet5_graph
from hwprm.nets.module import GraphModule
from hwprm.nets.tied import TiedModule

__all__ = ["NETWORKS", "GraphModule", "TiedModule", "image_shape", "lenet5", "lenet5_graph", "reference_network"]
