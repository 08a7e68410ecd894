"""`evaluate`: the plain float64 meaning of a `Graph`. Slow and simple; the yardstick of every exact rewrite."""

from __future__ import annotations

from functools import singledispatch

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hwprm.core.errors import ModelError
from hwprm.graph.batches import Batch, by_input
from hwprm.graph.graph import Graph
from hwprm.graph.nodes import (
    AdaptiveAvgPool2d,
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
    Unflatten,
    Upsample,
)

__all__ = ["evaluate"]

Array = NDArray[np.float64]


def evaluate(graph: Graph, x: Batch) -> dict[str, Array]:
    """Every node's tensor ``(n, ...)`` in float64 for a batch `x` ``(n, *input shape)``, of several inputs by name.

    Raises ModelError when a shape does not fit the network, DataError when `x` is for other inputs.
    """
    values: dict[str, Array] = {}
    for name, array in by_input(x, [node.name for node in graph.inputs]).items():
        values[name] = batch = np.asarray(array, dtype=np.float64)
        if batch.shape[1:] != graph.shapes[name]:
            raise ModelError(f"the network reads {graph.shapes[name]}, a batch {batch.shape} does not fit; reshape it")
    for node in graph.nodes:
        if not isinstance(node, Input):
            values[node.name] = _apply(node, *(values[name] for name in node.inputs), shape=graph.shapes[node.name])
    return values


@singledispatch
def _apply(node: Node, *inputs: Array, shape: tuple[int, ...]) -> Array:
    raise ModelError(f"{node.name!r}: operator {type(node).__name__} has no float reference; add one")


@_apply.register
def _(node: Conv2d, x: Array, *, shape: tuple[int, ...]) -> Array:
    patches = _windows(_pad(x, node.padding, 0.0), node.weight.shape[2:], node.stride, node.dilation, shape)
    groups = np.split(patches, node.groups, axis=1)
    weights = np.split(node.weight.astype(np.float64), node.groups)
    parts = [np.einsum("nchwij,mcij->nmhw", p, w, optimize=True) for p, w in zip(groups, weights, strict=True)]
    result: Array = np.concatenate(parts, axis=1) + node.bias.astype(np.float64)[:, None, None]
    return result


@_apply.register
def _(node: Linear, x: Array, *, shape: tuple[int, ...]) -> Array:
    result: Array = x @ node.weight.astype(np.float64).T + node.bias.astype(np.float64)
    return result


@_apply.register
def _(node: BatchNorm, x: Array, *, shape: tuple[int, ...]) -> Array:
    per_channel = (-1, *[1] * (len(shape) - 1))
    weight, bias, mean, var = (
        np.asarray(a, dtype=np.float64).reshape(per_channel) for a in (node.weight, node.bias, node.mean, node.var)
    )
    result: Array = (x - mean) / np.sqrt(var + node.eps) * weight + bias
    return result


@_apply.register
def _(node: Relu, x: Array, *, shape: tuple[int, ...]) -> Array:
    return np.maximum(x, 0.0)


@_apply.register
def _(node: Clamp, x: Array, *, shape: tuple[int, ...]) -> Array:
    return np.clip(x, -np.inf if node.low is None else node.low, np.inf if node.high is None else node.high)


@_apply.register
def _(node: Add, *inputs: Array, shape: tuple[int, ...]) -> Array:
    result: Array = np.sum(inputs, axis=0)
    return result


@_apply.register
def _(node: Concat, *inputs: Array, shape: tuple[int, ...]) -> Array:
    return np.concatenate(inputs, axis=1)


@_apply.register
def _(node: Channels, x: Array, *, shape: tuple[int, ...]) -> Array:
    return x[:, list(node.indices)]


@_apply.register
def _(node: AvgPool2d, x: Array, *, shape: tuple[int, ...]) -> Array:
    padded = _pad(x, _reach(node.kernel, node.stride, (1, 1), node.padding, x, shape), 0.0)
    sums = _windows(padded, node.kernel, node.stride, (1, 1), shape).sum(axis=(4, 5))
    result: Array = sums / node.divisors(x.shape[1:])
    return result


@_apply.register
def _(node: AdaptiveAvgPool2d, x: Array, *, shape: tuple[int, ...]) -> Array:
    rows, cols = node.windows(x.shape[1:])
    result: Array = np.empty((len(x), *shape))
    for i, (top, height) in enumerate(zip(rows.start, rows.length, strict=True)):
        for j, (left, width) in enumerate(zip(cols.start, cols.length, strict=True)):
            result[:, :, i, j] = x[:, :, top : top + height, left : left + width].mean(axis=(2, 3))
    return result


@_apply.register
def _(node: Upsample, x: Array, *, shape: tuple[int, ...]) -> Array:
    return x.repeat(node.factors[0], axis=2).repeat(node.factors[1], axis=3)


@_apply.register
def _(node: MaxPool2d, x: Array, *, shape: tuple[int, ...]) -> Array:
    padded = _pad(x, _reach(node.kernel, node.stride, node.dilation, node.padding, x, shape), -np.inf)
    result: Array = _windows(padded, node.kernel, node.stride, node.dilation, shape).max(axis=(4, 5))
    return result


@_apply.register
def _(node: Flatten, x: Array, *, shape: tuple[int, ...]) -> Array:
    return x.reshape(len(x), -1)


@_apply.register
def _(node: Unflatten, x: Array, *, shape: tuple[int, ...]) -> Array:
    return x[:, :, None, None]


def _reach(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int, int, int],
    x: Array,
    shape: tuple[int, ...],
) -> tuple[int, int, int, int]:
    """`padding` and what the last window of ceil mode needs beyond it."""
    top, bottom, left, right = padding
    more = []
    for axis, pad in enumerate((top + bottom, left + right)):
        last = (shape[1 + axis] - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1)
        more.append(max(0, last + 1 - x.shape[2 + axis] - pad))
    return (top, bottom + more[0], left, right + more[1])


def _pad(x: Array, padding: tuple[int, int, int, int], value: float) -> Array:
    top, bottom, left, right = padding
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def _windows(
    x: Array, kernel: tuple[int, ...], stride: tuple[int, int], dilation: tuple[int, int], shape: tuple[int, ...]
) -> Array:
    """View ``(n, C, OH, OW, KH, KW)`` of what each window position reads."""
    span = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    view: Array = sliding_window_view(x, span, axis=(2, 3))
    view = view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    return view[:, :, : shape[1], : shape[2]]
