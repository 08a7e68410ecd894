"""Narrowing a network to some of its channel groups, and what it then costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import ConfigError
from hwprm.graph import BatchNorm, Conv2d, Graph, Node
from hwprm.pruning.channels.groups import ChannelGroups
from hwprm.pruning.compaction.compaction import cut_channels

__all__ = ["Blocks", "Meter", "channel_blocks", "count_macs", "count_weights", "even_weights", "narrow"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Meter:
    """A cost of networks. `of` gives the cost of every layer of a graph; the network's is their sum."""

    name: str
    of: Callable[[Graph], Mapping[str, int]]
    #: Channels that must go together for the cost to fall for certain: the filters of a tile of the array, or 1.
    grain: int = 1
    #: Images that the cost is for: those of a batch.
    images: int = 1
    #: What the cost hangs on besides the graph, such as the array: what was measured by another key is no use.
    key: str = ""

    def total(self, graph: Graph) -> int:
        """The cost of `graph`."""
        return sum(self.of(graph).values())


@dataclass(frozen=True, kw_only=True, eq=False)
class Blocks:
    """The channel groups that may go, in blocks whose members occur in the same tensors: widths count per block."""

    groups: ChannelGroups
    #: ``(groups.count,)``: number of each group's block, -1 for groups that must stay.
    of: IntArray
    #: Groups of each block, ``(blocks,)``.
    sizes: IntArray

    @cached_property
    def free(self) -> IntArray:
        """The groups that may go, in order."""
        return np.flatnonzero(self.of >= 0)

    def layers(self, block: int) -> tuple[str, ...]:
        """The layers whose filters make the channels of `block`."""
        members = np.flatnonzero(self.of == block)
        return tuple(name for name, rows in self.groups.rows.items() if np.isin(members[:1], rows).any())

    def rounded(self, counts: IntArray, step: int) -> IntArray:
        """`counts` ``(blocks,)`` in multiples of `step`: the nearest, one multiple at least, never above the block."""
        nearest = np.maximum(step, (2 * counts + step) // (2 * step) * step)
        return np.minimum(self.sizes, nearest)

    def even(self, order: IntArray) -> IntArray:
        """All free groups, each block's in `order`, so that a prefix has the same share of every block."""
        place = np.empty(len(order))
        for block, size in enumerate(self.sizes):
            mine = np.flatnonzero(self.of[order] == block)
            place[mine] = np.arange(len(mine)) / size
        return order[np.argsort(place, kind="stable")]

    def first(self, order: IntArray, counts: IntArray) -> BoolArray:
        """``(groups.count,)``: what stays if each block keeps its `counts` first groups in `order` (of all free)."""
        keep = self.of < 0
        for block, count in enumerate(counts):
            keep[order[self.of[order] == block][:count]] = True
        return keep


def channel_blocks(groups: ChannelGroups) -> Blocks:
    """The blocks of `groups`.

    Groups that occur equally often in each tensor cannot be told apart by any shape, so every cost that counts shapes
    depends on how many of a block stay only.
    """
    occurs = np.stack([np.bincount(of, minlength=groups.count) for of in groups.of.values()])
    free = np.flatnonzero(~groups.fixed)
    of = np.full(groups.count, -1, dtype=np.int64)
    if free.size:
        _, first, number = np.unique(occurs[:, free], axis=1, return_index=True, return_inverse=True)
        place = np.argsort(np.argsort(first))  # blocks in the order of the network
        of[free] = place[number.reshape(-1)]
    return Blocks(groups=groups, of=of, sizes=np.bincount(of[free], minlength=0))


def narrow(groups: ChannelGroups, keep: BoolArray) -> Graph:
    """The graph of `groups` with the channels of the groups `keep` ``(count,)`` alone; batch norms as they were.

    Raises ConfigError when a tensor would have no channel left.
    """
    graph = groups.graph
    masks = {name: keep[of] for name, of in groups.of.items()}
    for name, mask in masks.items():
        if not mask.any():
            raise ConfigError(f"no channel of {name!r} would be left; keep one at least")
    return cut_channels(graph, masks)


def count_macs(graph: Graph) -> dict[str, int]:
    """Multiplications per image of each weighted layer: weights by output pixels; padding counts as data."""
    return {
        node.name: node.weight.size * (math.prod(graph.shapes[node.name][1:]) if isinstance(node, Conv2d) else 1)
        for node in graph.weighted
    }


def count_weights(graph: Graph) -> dict[str, int]:
    """Weights of each weighted layer, biases and batch norms left out."""
    return {node.name: node.weight.size for node in graph.weighted}


def even_weights(graph: Graph) -> Graph:
    """`graph` in which every layer takes means of all that it reads and batch norms do nothing.

    What counts cycles leaves zeros and constants out; here there are none, so that widths alone decide.
    """
    changed: list[Node] = []
    for node in graph.nodes:
        if isinstance(node, BatchNorm):
            ones, zeros = np.ones_like(node.weight), np.zeros_like(node.weight)
            changed.append(replace(node, weight=ones, bias=zeros, mean=zeros, var=ones))
    for layer in graph.weighted:
        weight = np.full_like(layer.weight, len(layer.bias) / layer.weight.size)
        changed.append(replace(layer, weight=weight, bias=np.zeros_like(layer.bias)))
    return graph.replace(*changed)
