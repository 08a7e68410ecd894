"""Tidying a graph for compaction: constant summands of residual sums, and nodes that only pass a tensor on."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from hwprm.graph import Add, BatchNorm, Concat, Conv2d, Graph, Linear, Node
from hwprm.graph.liveness import needed_channels
from hwprm.pruning.paths.constants import fold_constants

__all__ = ["drop_constant_summands", "without_copies"]

Array = NDArray[np.float64]


def drop_constant_summands(graph: Graph) -> Graph:
    """`graph` in which no sum reads a tensor that is constant in all channels needed of the sum.

    Such a summand is what pruning leaves of a whole residual branch. Its constants go into the bias of another
    summand's layer or batch norm that only the sum reads, or else into a batch norm behind the sum. One summand always
    stays, so that a sum of nothing but constants keeps its value.
    """
    _, constants = fold_constants(graph)
    need = needed_channels(graph)
    sums = _Sums(graph)
    for node in [node for node in graph.nodes if isinstance(node, Add)]:
        wanted = need[node.name]
        fixed = [bool((constants[name].known | ~wanted).all()) for name in node.inputs]
        if all(fixed):
            fixed[0] = False
        if wanted.any() and any(fixed):
            gone = [constants[name].value for name, drop in zip(node.inputs, fixed, strict=True) if drop]
            rest = tuple(name for name, drop in zip(node.inputs, fixed, strict=True) if not drop)
            sums.reduce(node, rest, np.where(wanted, np.sum(gone, axis=0), 0.0))
    return sums.graph()


class _Sums:
    """A graph whose sums are made smaller, one after the other, and which is put together once."""

    def __init__(self, graph: Graph) -> None:
        self._outputs = graph.outputs
        #: What stands in the place of each node, its tensor made by the last.
        self._places: dict[str, tuple[Node, ...]] = {node.name: (node,) for node in graph.nodes}
        self._readers = {node.name: {reader.name for reader in graph.consumers(node.name)} for node in graph.nodes}

    def reduce(self, node: Add, rest: tuple[str, ...], value: Array) -> None:
        """`node` becomes the sum of `rest` and of the constants `value` ``(C,)``."""
        for name in set(node.inputs) - set(rest):
            self._readers[name].discard(node.name)
        joined: Node = replace(node, inputs=rest) if len(rest) > 1 else Concat(name=node.name, inputs=rest)
        self._places[node.name] = (joined,)
        if value.any() and not self._biased(rest, value):
            inner = replace(joined, name=f"{node.name}.varying")
            ones, zeros = np.ones_like(value), np.zeros_like(value)
            arrays = {"weight": ones, "bias": value, "mean": zeros, "var": ones}
            shift = BatchNorm(name=node.name, inputs=(inner.name,), **arrays, eps=0.0, fixed=True)
            self._places[node.name] = (inner, shift)

    def _biased(self, rest: tuple[str, ...], value: Array) -> bool:
        """Whether one of the summands `rest` could take `value` into its bias, and has."""
        for name in rest:
            *before, maker = self._places[name]
            alone = rest.count(name) == 1 and name not in self._outputs and len(self._readers[name]) == 1
            if isinstance(maker, Conv2d | Linear | BatchNorm) and alone:
                self._places[name] = (*before, replace(maker, bias=maker.bias + value))
                return True
        return False

    def graph(self) -> Graph:
        """The graph as it is now."""
        return Graph(tuple(chain.from_iterable(self._places.values())), self._outputs)


def without_copies(graph: Graph) -> Graph:
    """`graph` without nodes whose tensor is that of their input, unless it is an output of the network."""
    same: dict[str, str] = {}
    left: list[Node] = []
    for old in graph.nodes:
        node = replace(old, inputs=tuple(same.get(name, name) for name in old.inputs)) if old.inputs else old
        if node.name not in graph.outputs and node.copies([graph.shapes[name] for name in old.inputs]):
            same[node.name] = node.inputs[0]
        else:
            left.append(node)
    return Graph(tuple(left), graph.outputs)
