"""Which channels of a network matter, hang together and belong where: the one place where that is followed.

Everything here follows `Links`, the rule with which an operator tells which channels it makes of which: what an output
needs, what stays when something else stays, what only goes together, who makes a channel, which entries of a vector
were one channel. Unused paths, compaction, groups of channels, the choice of ADMM's supports, statistics and counts
all ask here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from hwprm.graph.graph import Graph
from hwprm.graph.ops.input import Input
from hwprm.graph.rules.arrays import BoolArray, FloatArray, IntArray, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.node import Node, Weighted

__all__ = [
    "Reads",
    "channel_makers",
    "channel_pixels",
    "constant_channels",
    "filled_lines",
    "kept_channels",
    "needed_channels",
    "reached_from",
    "same_channels",
]

#: What an operator reads, for each input, of what is needed of its tensor ``(C,)``, given the shapes of its inputs.
Reads = Callable[[Node, BoolArray, Sequence[Shape]], Sequence[BoolArray]]


def needed_channels(
    graph: Graph, always: Collection[str] | None = None, reads: Reads | None = None
) -> dict[str, BoolArray]:
    """For each tensor ``(C,)``: do the tensors `always` depend on the channel (or is it one of theirs)?

    `always` are the inputs and outputs of the network unless said otherwise. `reads` may tell in the operators' stead
    what they read; it is asked from the last to the first.
    """
    if always is None:
        always = {*graph.outputs, *(node.name for node in graph.nodes if not node.inputs)}
    need = {name: np.full(shape[0], name in always) for name, shape in graph.shapes.items()}
    for node in reversed(graph.nodes):
        shapes = [graph.shapes[name] for name in node.inputs]
        masks = node.reads(need[node.name], shapes) if reads is None else reads(node, need[node.name], shapes)
        for name, mask in zip(node.inputs, masks, strict=True):
            need[name] |= mask
    return need


def kept_channels(graph: Graph) -> dict[str, BoolArray]:
    """What stays of each tensor ``(C,)``: the channels that an output needs, and those that are bonded to one."""
    keep = {name: mask.copy() for name, mask in needed_channels(graph).items()}
    nodes = [node for node in graph.nodes if node.inputs]
    before = -1
    while (total := sum(int(mask.sum()) for mask in keep.values())) != before:
        before = total
        for node in reversed(nodes):
            if keep[node.name].any():  # else it is dead, and does not hold on to what it reads
                shapes = [graph.shapes[name] for name in node.inputs]
                node.bond(keep[node.name], [keep[name] for name in node.inputs], shapes)
    return keep


def same_channels(graph: Graph) -> tuple[dict[str, IntArray], int]:
    """For each tensor ``(C,)`` a number that channels share which only go together, and how many numbers there are.

    They are numbered in the order in which their channels first appear.
    """
    starts, total = {}, 0
    for node in graph.nodes:
        starts[node.name] = total
        total += graph.shapes[node.name][0]
    places = {name: start + np.arange(graph.shapes[name][0]) for name, start in starts.items()}
    pairs = []
    for node in graph.nodes:
        links = node.links([graph.shapes[name] for name in node.inputs])
        for name, link in zip(node.inputs, links, strict=True):
            pairs.append((places[node.name][link.out], places[name][link.source]))
    label = _components(total, pairs)
    _, first, numbers = np.unique(label, return_index=True, return_inverse=True)
    return {name: numbers[place] for name, place in places.items()}, len(first)


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


def constant_channels(
    graph: Graph, given: Callable[[Node, Sequence[Constants]], Constants | None]
) -> dict[str, Constants]:
    """The constants of each tensor. Where `given` knows a node's, from its inputs', the operator is not asked."""
    constants: dict[str, Constants] = {}
    for node in graph.nodes:
        sources = [constants[name] for name in node.inputs]
        told = given(node, sources)
        shapes = [graph.shapes[name] for name in node.inputs]
        constants[node.name] = node.constants(sources, shapes) if told is None else told
    return constants


def channel_makers(graph: Graph, constants: Mapping[str, Constants], name: str, channel: int) -> list[tuple[str, int]]:
    """The layers and filters (or nodes without inputs) that make `channel` of tensor `name`.

    Of several channels that make one, those that are not zero everywhere; the channel itself where all are.
    """
    node = graph.by_name[name]
    if isinstance(node, Weighted) or not node.inputs:
        return [(name, channel)]
    links = node.links([graph.shapes[source] for source in node.inputs])
    made_of = [
        (source, int(c))
        for source, link in zip(node.inputs, links, strict=True)
        for c in link.source[link.out == channel]
    ]
    if len(made_of) > 1:
        made_of = [(source, c) for source, c in dict.fromkeys(made_of) if constants[source].value[c] != 0]
    found = [maker for source, c in made_of for maker in channel_makers(graph, constants, source, c)]
    return list(dict.fromkeys(found)) or [(name, channel)]


def channel_pixels(graph: Graph, name: str) -> int:
    """Entries of the vector `name` that belong to one channel: the pixels of the map it was flattened from.

    1 where there was no map, or where vectors that differ in this are joined.
    """
    pixels: dict[str, int] = {}
    for node in graph.nodes:
        pixels[node.name] = 1
        if isinstance(node, (Weighted, Input)) or len(graph.shapes[node.name]) > 1:
            continue  # a channel of its own, or a map: each channel is one
        links = node.links([graph.shapes[source] for source in node.inputs])
        blocks = [link.block() for link in links]
        found = {pixels[source] * (block or 0) for source, block in zip(node.inputs, blocks, strict=True)}
        if len(found) == 1:
            pixels[node.name] = max(1, found.pop())
    return pixels[name]


def reached_from(graph: Graph, names: Collection[str]) -> set[str]:
    """`names` and the tensors that are made of them without a matrix between."""
    found = set(names)
    for node in graph.nodes:
        if not isinstance(node, Weighted) and not found.isdisjoint(node.inputs):
            found.add(node.name)
    return found


def filled_lines(weight: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Rows ``(M,)`` and columns ``(K,)`` with a weight that is not zero, of `weight` ``(M, ...)`` as a matrix."""
    matrix = weight.reshape(len(weight), math.prod(weight.shape[1:])) != 0
    return matrix.any(axis=1), matrix.any(axis=0)
