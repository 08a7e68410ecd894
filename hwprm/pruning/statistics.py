"""Norms of rows and columns, taken once on the loaded model (Ma et al., equations 8 and 9).

They are never taken again after a removal: every removal lowers the norms of its neighbours, and with absolute
thresholds a second look would remove these too, and so on until the network is empty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwprm.graph import BatchNorm, Conv2d, Graph, Linear
from hwprm.graph.liveness import channel_pixels, reached_from

__all__ = [
    "LayerStatistics",
    "columns_per_channel",
    "layer_statistics",
    "makes_output",
    "matrix_view",
    "norm_gains",
]

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerStatistics:
    """One layer's norms.

    `column_sq` is ``(C, delta)``: squared Frobenius norm of each column, delta columns per input channel: KH*KW, or
    the pixels H*W of a map for a linear layer behind a flatten, else 1. `filter_sq` is ``(M,)``.
    """

    name: str
    column_sq: Array
    filter_sq: Array
    reads_input: bool  #: its channels are those of the network's input, which cannot be pruned
    makes_output: bool  #: its rows are those of a network output, which cannot be pruned

    def counted(self, th1: float) -> BoolArray:
        """``(C, delta)``: columns that count as not empty, those at or above `th1`."""
        return (self.column_sq > 0) & (self.column_sq >= th1)

    def fullness(self, th1: float, *, literal: bool = False) -> Array:
        """eta ``(C,)``, equation 8: the share of a channel's columns that are not empty; `literal`: not all zero."""
        result: Array = self.counted(0.0 if literal else th1).mean(axis=1)
        return result

    def importance(self, th1: float, *, literal: bool = False) -> Array:
        """sigma ``(C,)``, equation 9: sum of the squared norms of a channel's columns, empty ones as 0, by delta.

        `literal`: of the columns below `th1`, as line 7 of Algorithm 1 has it, instead of the others.
        """
        counted = self.column_sq < th1 if literal else self.counted(th1)
        result: Array = np.where(counted, self.column_sq, 0.0).mean(axis=1)
        return result


def norm_gains(graph: Graph) -> dict[str, Array]:
    """What a batch norm, read by nobody else's side, multiplies each row of the layer in front of it by: ``(M,)`` of
    |weight| / sqrt(var + eps), by that layer's name.

    Rows are compared as the folded network has them. A norm whose weights are all zero says nothing of its rows: such
    are those that a residual branch begins with, before they are trained.
    """
    found: dict[str, Array] = {}
    for norm in graph.nodes:
        if not isinstance(norm, BatchNorm):
            continue
        name = norm.inputs[0]
        alone = len(graph.consumers(name)) == 1 and name not in graph.outputs
        if alone and isinstance(graph.by_name[name], Conv2d | Linear) and norm.weight.any():
            found[name] = np.abs(norm.weight.astype(np.float64)) / np.sqrt(norm.var.astype(np.float64) + norm.eps)
    return found


def layer_statistics(graph: Graph) -> tuple[LayerStatistics, ...]:
    """Statistics of every weighted layer of `graph`, in order, batch norms folded into the rows in front of them."""
    gains = norm_gains(graph)
    from_input = reached_from(graph, {node.name for node in graph.inputs})
    result = []
    for layer in graph.weighted:
        square = matrix_view(graph, layer).astype(np.float64) ** 2
        if layer.name in gains:
            square *= gains[layer.name].reshape(len(square), -1, 1, 1) ** 2
        result.append(
            LayerStatistics(
                name=layer.name,
                column_sq=square.sum(axis=1).reshape(-1, square.shape[3]),
                filter_sq=square.sum(axis=(2, 3)).reshape(-1),
                reads_input=layer.inputs[0] in from_input,
                makes_output=makes_output(graph, layer.name),
            )
        )
    return tuple(result)


def matrix_view(graph: Graph, layer: Conv2d | Linear) -> NDArray[np.floating]:
    """The weights as ``(groups, M / groups, C / groups, delta)``."""
    if isinstance(layer, Conv2d):
        m, c = layer.weight.shape[:2]
        return layer.weight.reshape(layer.groups, m // layer.groups, c, -1)
    m = len(layer.bias)
    return layer.weight.reshape(1, m, -1, columns_per_channel(graph, layer))


def columns_per_channel(graph: Graph, layer: Conv2d | Linear) -> int:
    """Columns of `layer`'s matrix per input channel: the kernel's taps, or behind a flatten the pixels of a map."""
    return math.prod(layer.weight.shape[2:]) if isinstance(layer, Conv2d) else channel_pixels(graph, layer.inputs[0])


def makes_output(graph: Graph, name: str) -> bool:
    """Does the tensor `name`, or one made of it without another matrix, leave the network?"""
    return not reached_from(graph, {name}).isdisjoint(graph.outputs)
