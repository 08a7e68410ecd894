"""Which channels of a network only go together, found by following them through every operator.

A channel that is gone in one tensor is gone in every tensor that only passes it on: behind a batch norm, an activation
or a pooling, in all summands of a residual sum, in the pixels of a flattened map. Such channels are one group. Removing
a group takes the filters that make it and the columns that read it, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwprm.graph import (
    WEIGHTED,
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
    MaxPool2d,
    Node,
    Relu,
    Unflatten,
    Upsample,
)

__all__ = ["ChannelGroups", "channel_groups"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_CHANNELWISE = (AdaptiveAvgPool2d, Add, AvgPool2d, BatchNorm, Clamp, MaxPool2d, Relu, Unflatten, Upsample)


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelGroups:
    """The groups 0..`count`-1 of the channels of `graph`."""

    graph: Graph
    #: Tensor name to the group of each of its channels ``(C,)``; entries of a flattened map have that of their channel.
    of: Mapping[str, IntArray]
    #: ``(count,)``: groups that must stay: channels of the network's inputs and outputs, and those of grouped
    #: convolutions, whose groups all need as many of them.
    fixed: BoolArray

    @property
    def count(self) -> int:
        """How many groups there are."""
        return len(self.fixed)

    @cached_property
    def rows(self) -> Mapping[str, IntArray]:
        """Weighted layer to the group that each row of its matrix makes ``(M,)``."""
        return {node.name: self.of[node.name] for node in self.graph.weighted}

    @cached_property
    def cols(self) -> Mapping[str, IntArray]:
        """Layer to the group that each column of its matrix reads ``(K,)``; grouped convolutions are not in it."""
        return {
            node.name: np.repeat(self.of[node.inputs[0]], math.prod(node.weight.shape[2:]))
            for node in self.graph.weighted
            if not (isinstance(node, Conv2d) and node.groups > 1)
        }

    @cached_property
    def norms(self) -> Mapping[str, IntArray]:
        """Batch norm to the group of each of its channels ``(C,)``."""
        return {node.name: self.of[node.name] for node in self.graph.nodes if isinstance(node, BatchNorm)}


def channel_groups(graph: Graph) -> ChannelGroups:
    """The groups of `graph`, numbered in the order in which their channels first appear."""
    starts, total = {}, 0
    for node in graph.nodes:
        starts[node.name] = total
        total += graph.shapes[node.name][0]
    places = {name: start + np.arange(graph.shapes[name][0]) for name, start in starts.items()}
    pairs = [pair for node in graph.nodes for pair in _joined(node, graph, places)]
    label = _components(total, pairs)
    _, first, numbers = np.unique(label, return_index=True, return_inverse=True)
    fixed = np.zeros(len(first), dtype=bool)
    for node in graph.nodes:
        if isinstance(node, Input) or node.name in graph.outputs:
            fixed[numbers[places[node.name]]] = True
        if isinstance(node, Conv2d) and node.groups > 1 and not _depthwise(node):
            fixed[numbers[places[node.name]]] = True
            fixed[numbers[places[node.inputs[0]]]] = True
    return ChannelGroups(graph=graph, of={name: numbers[place] for name, place in places.items()}, fixed=fixed)


def _depthwise(node: Conv2d) -> bool:
    return node.groups > 1 and node.weight.shape[1] == 1


def _joined(node: Node, graph: Graph, places: Mapping[str, IntArray]) -> list[tuple[IntArray, IntArray]]:
    """Pairs of arrays of channels that `node` makes one."""
    own = places[node.name]
    given = [places[name] for name in node.inputs]
    if isinstance(node, Conv2d) and _depthwise(node):
        return [(own, np.repeat(given[0], len(own) // len(given[0])))]
    if isinstance(node, (*WEIGHTED, Input)):
        return []
    if isinstance(node, _CHANNELWISE):
        return [(own, one) for one in given]
    if isinstance(node, Concat):
        return [(own, np.concatenate(given))]
    if isinstance(node, Channels):
        return [(own, given[0][np.array(node.indices, dtype=np.intp)])]
    assert isinstance(node, Flatten), node
    return [(own, np.repeat(given[0], len(own) // len(given[0])))]


def _components(total: int, pairs: list[tuple[IntArray, IntArray]]) -> IntArray:
    """Smallest member of each of the `total` channels' component."""
    label = np.arange(total)
    while True:
        before = label.copy()
        for a, b in pairs:
            low = np.minimum(label[a], label[b])
            np.minimum.at(label, a, low)
            np.minimum.at(label, b, low)
        if np.array_equal(before, label):
            return label
