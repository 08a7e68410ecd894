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

from hwprm.graph import BatchNorm, Conv2d, Graph
from hwprm.graph.liveness import same_channels
from hwprm.graph.rules.node import Weighted

__all__ = ["ChannelGroups", "channel_groups"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


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
    of, count = same_channels(graph)
    fixed = np.zeros(count, dtype=bool)
    for node in graph.nodes:
        if not node.inputs or node.name in graph.outputs:
            fixed[of[node.name]] = True
        if isinstance(node, Weighted) and node.balanced:
            fixed[of[node.name]] = True
            fixed[of[node.inputs[0]]] = True
    return ChannelGroups(graph=graph, of=of, fixed=fixed)
