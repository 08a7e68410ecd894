"""Float networks as data: what the torch tower trains and prunes, and what quantisation reads. numpy only."""

from hwprm.graph.batches import Batch, Scale, Shapes, by_input, image_shapes, join_inputs, scale_of
from hwprm.graph.evaluation import evaluate
from hwprm.graph.graph import WEIGHTED, Graph
from hwprm.graph.nodes import (
    Add,
    AvgPool2d,
    BatchNorm,
    Channels,
    Clamp,
    Concat,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Node,
    Relu,
    Shape,
    conv_output_size,
    pool_output_size,
)

__all__ = [
    "WEIGHTED",
    "Add",
    "AvgPool2d",
    "Batch",
    "BatchNorm",
    "Channels",
    "Clamp",
    "Concat",
    "Conv2d",
    "Flatten",
    "Graph",
    "Input",
    "Linear",
    "MaxPool2d",
    "Node",
    "Relu",
    "Scale",
    "Shape",
    "Shapes",
    "by_input",
    "conv_output_size",
    "evaluate",
    "image_shapes",
    "join_inputs",
    "pool_output_size",
    "scale_of",
]
