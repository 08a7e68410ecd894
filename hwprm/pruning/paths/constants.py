"""Maps that are the same number everywhere, and folding them into the biases of their readers.

A filter without weights makes a constant map, its bias; batch norm, ReLU, clamp, pooling, upsampling and flatten
keep it constant, so does a sum whose summands are all constant; concat and channel selection hand it on. An average
pooling that counts padding does not: its mean is lower at the border.
A linear layer, and a convolution tap that never falls on zero padding, reads the constant at every position, so that
``constant * weight`` moves into the bias exactly. A tap that meets padding at some positions does not: there the
constant has to stay unless it is zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import UnsupportedError
from hwprm.core.geometry import taps_inside, window_taps
from hwprm.graph import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm,
    Channels,
    Clamp,
    Concat,
    Conv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool2d,
    Node,
    Relu,
    Shape,
    Unflatten,
    Upsample,
)

__all__ = ["Constants", "fold_constants"]


@dataclass(frozen=True, eq=False)
class Constants:
    """Which channels ``(C,)`` of a tensor are constant, and their values (0 where they are not)."""

    known: NDArray[np.bool_]
    value: NDArray[np.float64]

    @classmethod
    def where(cls, known: NDArray[np.bool_], value: NDArray[np.float64]) -> Constants:
        """Constants of `value` at the channels `known`."""
        return cls(known, np.where(known, value, 0.0))


def fold_constants(graph: Graph) -> tuple[Graph, Mapping[str, Constants]]:
    """`graph` with every constant folded that can be folded exactly, and the constants of each tensor.

    One sweep is complete: readers come later, so a filter that loses its last weight counts as constant itself.
    """
    constants: dict[str, Constants] = {}
    changed: list[Node] = []
    for node in graph.nodes:
        sources = [constants[name] for name in node.inputs]
        shapes = [graph.shapes[name] for name in node.inputs]
        folded = _fold(node, sources, shapes)
        constants[node.name] = _constants(folded, sources, shapes)
        changed.append(folded)
    return graph.replace(*changed), constants


@singledispatch
def _fold(node: Node, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Node:
    return node


@_fold.register
def _(node: Linear, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Node:
    known, value = sources[0].known, sources[0].value
    bias = node.bias + node.weight.astype(np.float64) @ value
    weight = np.where(known, 0, node.weight)
    return replace(node, weight=weight.astype(node.weight.dtype), bias=bias.astype(node.bias.dtype))


@_fold.register
def _(node: Conv2d, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Node:
    size = (shapes[0][1], shapes[0][2])
    _, height, width = node.infer_shape(*shapes)
    kernel = (node.weight.shape[2], node.weight.shape[3])
    taps = window_taps(size, (height, width), kernel, node.stride, node.padding, node.dilation)
    weight, bias = node.weight.astype(np.float64), node.bias.astype(np.float64)
    weight[:, :, taps.never] = 0
    filters, channels = len(bias) // node.groups, weight.shape[1]
    for channel in np.flatnonzero(sources[0].known):
        group, local = divmod(int(channel), channels)
        rows, value = slice(group * filters, (group + 1) * filters), sources[0].value[channel]
        exact = taps.always | (value == 0)  # padding is zero too
        bias[rows] += value * (weight[rows, local] * exact).sum(axis=(1, 2))
        weight[rows, local] *= ~exact
    return replace(node, weight=weight.astype(node.weight.dtype), bias=bias.astype(node.bias.dtype))


@singledispatch
def _constants(node: Node, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
    raise UnsupportedError(f"{node.name!r}: unused-path removal does not know {type(node).__name__}; prune without it")


@_constants.register
def _(node: Input, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
    return Constants(np.zeros(node.shape[0], dtype=bool), np.zeros(node.shape[0]))


@_constants.register(Conv2d)
@_constants.register(Linear)
def _(node: Conv2d | Linear, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
    silent = np.logical_not(node.weight.reshape(len(node.bias), -1).any(axis=1))
    return Constants.where(silent, node.bias.astype(np.float64))


@_constants.register
def _(node: BatchNorm, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
    weight, bias = node.weight.astype(np.float64), node.bias.astype(np.float64)
    scale = 1 / np.sqrt(node.var.astype(np.float64) + node.eps)
    value = (sources[0].value - node.mean.astype(np.float64)) * scale * weight + bias
    return Constants.where(sources[0].known | (weight == 0), np.where(weight == 0, bias, value))


@_constants.register
def _(node: Relu, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
    return Constants(sources[0].known, np.maximum(sources[0].value, 0.0))


@_constants.register
def _(node: Clamp, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
    low = -np.inf if node.low is None else node.low
    high = np.inf if node.high is None else node.high
    return Constants.where(sources[0].known, np.clip(sources[0].value, low, high))


@_constants.register
def _(node: Add, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
    known: NDArray[np.bool_] = np.all([source.known for source in sources], axis=0)
    return Constants.where(known, np.sum([source.value for source in sources], axis=0))


@_constants.register
def _(node: Concat, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
    return Constants(np.concatenate([x.known for x in sources]), np.concatenate([x.value for x in sources]))


@_constants.register
def _(node: Channels, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
    indices = list(node.indices)
    return Constants(sources[0].known[indices], sources[0].value[indices])


@_constants.register(AdaptiveAvgPool2d)
@_constants.register(Unflatten)
@_constants.register(Upsample)
def _(node: Node, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
    return sources[0]


@_constants.register
def _(node: AvgPool2d, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
    _, height, width = node.infer_shape(*shapes)
    top, _, left, _ = node.padding
    rows = taps_inside(shapes[0][1], height, node.kernel[0], node.stride[0], top, 1).sum(axis=1)
    cols = taps_inside(shapes[0][2], width, node.kernel[1], node.stride[1], left, 1).sum(axis=1)
    divisors = node.divisors(shapes[0])
    if (divisors <= 0).any():  # a window of nothing but padding has no mean
        return Constants(np.zeros_like(sources[0].known), np.zeros_like(sources[0].value))
    share = np.outer(rows, cols) / divisors  # the mean of a map of ones
    known = sources[0].known & ((share == share[0, 0]).all() | (sources[0].value == 0))
    return Constants.where(known, sources[0].value * share[0, 0])


@_constants.register
def _(node: MaxPool2d, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
    size = (shapes[0][1], shapes[0][2])
    _, height, width = node.infer_shape(*shapes)
    taps = window_taps(size, (height, width), node.kernel, node.stride, node.padding, node.dilation)
    # A window of nothing but padding has no maximum among the samples.
    return Constants.where(sources[0].known & taps.seen, sources[0].value)


@_constants.register
def _(node: Flatten, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
    pixels = int(np.prod(shapes[0][1:]))
    return Constants(np.repeat(sources[0].known, pixels), np.repeat(sources[0].value, pixels))
