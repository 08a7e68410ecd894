"""Float networks as data: what the torch tower trains and prunes, and what quantisation reads. numpy only."""

from hwprm.graph.batches import Batch, Scale, Shapes, by_input, fitting_batch, image_shapes, join_inputs, scale_of
from hwprm.graph.ensemble import ensemble
from hwprm.graph.evaluation import evaluate
from hwprm.graph.graph import WEIGHTED, Graph
from hwprm.graph.lazy import Images, LazyImages, plain
from hwprm.graph.ops import OPERATORS
from hwprm.graph.ops.adaptive_avg_pool2d import AdaptiveAvgPool2d
from hwprm.graph.ops.add import Add
from hwprm.graph.ops.avg_pool2d import AvgPool2d
from hwprm.graph.ops.batch_norm import BatchNorm
from hwprm.graph.ops.bilinear import Bilinear
from hwprm.graph.ops.channel_mean import ChannelMean
from hwprm.graph.ops.channels import Channels
from hwprm.graph.ops.clamp import Clamp
from hwprm.graph.ops.concat import Concat
from hwprm.graph.ops.conv2d import Conv2d
from hwprm.graph.ops.crop import Crop
from hwprm.graph.ops.flatten import Flatten
from hwprm.graph.ops.input import Input
from hwprm.graph.ops.linear import Linear
from hwprm.graph.ops.max_pool2d import MaxPool2d
from hwprm.graph.ops.multiply import Multiply
from hwprm.graph.ops.pointwise import Pointwise
from hwprm.graph.ops.relu import Relu
from hwprm.graph.ops.remap import Remap
from hwprm.graph.ops.rounded import Rounded
from hwprm.graph.ops.unflatten import Unflatten
from hwprm.graph.ops.upsample import Upsample
from hwprm.graph.rules.arrays import Shape
from hwprm.graph.rules.node import Node
from hwprm.graph.rules.stages import Windows

__all__ = [
    "OPERATORS",
    "WEIGHTED",
    "AdaptiveAvgPool2d",
    "Add",
    "AvgPool2d",
    "Batch",
    "BatchNorm",
    "Bilinear",
    "ChannelMean",
    "Channels",
    "Clamp",
    "Concat",
    "Conv2d",
    "Crop",
    "Flatten",
    "Graph",
    "Images",
    "Input",
    "LazyImages",
    "Linear",
    "MaxPool2d",
    "Multiply",
    "Node",
    "Pointwise",
    "Relu",
    "Remap",
    "Rounded",
    "Scale",
    "Shape",
    "Shapes",
    "Unflatten",
    "Upsample",
    "Windows",
    "by_input",
    "ensemble",
    "evaluate",
    "fitting_batch",
    "image_shapes",
    "join_inputs",
    "plain",
    "scale_of",
]
