"""Unused-path removal: the exact half of P-RM (Ma et al., section 3, figure 2).

A filter whose channel no reader uses is dead, a channel whose filter is blank is unused. Constants are swept forward
(`hwprm.prune.constants`), need is swept backward; need makes no new constants, so the two sweeps are the fixed point.
Nothing here looks at a norm: the outputs stay what they were.

To support another operator, register it with `_reads` here, with the two rules of `constants` and those of `compact`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import singledispatch
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hwprm.errors import ConfigError, UnsupportedError
from hwprm.graph import BatchNorm, Conv2d, Flatten, Graph, Linear, MaxPool2d, Node, Relu, Shape
from hwprm.prune.constants import Constants, fold_constants
from hwprm.prune.removals import Kind, Refusal, Removal, Removals, Rule

__all__ = ["emptied_layers", "needed_channels", "remove_unused_paths"]

BoolArray = NDArray[np.bool_]


def remove_unused_paths(graph: Graph, *, inexact: Literal["keep", "refuse"] = "keep") -> tuple[Graph, Removals]:
    """`graph` with exact zeros wherever nothing depends on a weight, in the original shapes.

    Equal outputs: to rounding in float64; in a narrower dtype the folded biases are rounded to it once.
    `inexact` says what happens to a blank filter whose constant a zero-padding reader needs:
    ``"keep"`` leaves it and records a `Refusal`, ``"refuse"`` raises UnsupportedError.
    Raises ConfigError for another value of `inexact`.
    """
    if inexact not in ("keep", "refuse"):
        raise ConfigError(f"prune.inexact must be 'keep' or 'refuse', not {inexact!r}")
    folded, constants = fold_constants(graph)
    need = needed_channels(folded)
    refused = _refusals(folded, constants, need)
    if refused and inexact == "refuse":
        raise UnsupportedError(str(refused[0]))
    closed = folded.replace(*(_silence(node, need[node.name]) for node in folded.nodes))
    removed = [record for old in graph.weighted for record in _difference(old, closed)]
    return closed, Removals(removed=tuple(removed), refused=refused)


def needed_channels(graph: Graph) -> dict[str, BoolArray]:
    """For each tensor ``(C,)``: does an output depend on the channel? The input and the outputs count as needed."""
    always = {*graph.outputs, *(node.name for node in graph.nodes if not node.inputs)}
    need = {name: np.full(shape[0], name in always) for name, shape in graph.shapes.items()}
    for node in reversed(graph.nodes):
        if node.inputs:
            reads = _reads(node, need[node.name], [graph.shapes[name] for name in node.inputs])
            for name, mask in zip(node.inputs, reads, strict=True):
                need[name] |= mask
    return need


def emptied_layers(graph: Graph) -> list[str]:
    """Layers that have no weight left once constants are folded, first cause first, if an output is constant by them.

    Empty when every output still depends on the input.
    """
    folded, _ = fold_constants(graph)
    need = needed_channels(folded)
    constant = [x.name for x in folded.weighted if need[x.name].any() and not x.weight[need[x.name]].any()]
    if not constant:
        return []
    return [layer.name for layer in folded.weighted if not layer.weight.any()] or constant


@singledispatch
def _reads(node: Node, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    """For each input: which of its channels do the needed channels of `node` depend on?"""
    raise UnsupportedError(f"{node.name!r}: unused-path removal does not know {type(node).__name__}; prune without it")


@_reads.register
def _(node: Conv2d, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    m, channels = node.weight.shape[:2]
    grouped = node.weight.any(axis=(2, 3)).reshape(node.groups, m // node.groups, channels)
    reads: BoolArray = (grouped & need.reshape(node.groups, -1, 1)).any(axis=1).reshape(-1)
    return [reads]


@_reads.register
def _(node: Linear, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    return [np.logical_and(need, node.weight.T != 0).any(axis=1)]


@_reads.register
def _(node: BatchNorm, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    return [np.logical_and(need, node.weight != 0)]


@_reads.register(Relu)
@_reads.register(MaxPool2d)
def _(node: Node, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    return [need]


@_reads.register
def _(node: Flatten, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    reads: BoolArray = np.any(need.reshape(shapes[0][0], -1), axis=1)
    return [reads]


def _silence(node: Node, need: BoolArray) -> Node:
    """`node` with zeros for what nobody needs; a batch norm's statistics stay, its output is zero all the same."""
    if not isinstance(node, Conv2d | Linear | BatchNorm):
        return node
    rows = need.reshape(-1, *[1] * (node.weight.ndim - 1))
    zero = node.weight.dtype.type(0)
    return replace(node, weight=np.where(rows, node.weight, zero), bias=np.where(need, node.bias, zero))


def _refusals(graph: Graph, constants: Mapping[str, Constants], need: Mapping[str, BoolArray]) -> tuple[Refusal, ...]:
    found = []
    for reader in graph.weighted:
        source = reader.inputs[0]
        uses = _reads(reader, need[reader.name], [graph.shapes[source]])[0]
        for channel in np.flatnonzero(uses & constants[source].known):
            value = float(constants[source].value[channel])
            found.append(Refusal(layer=_maker(graph, source), filter=int(channel), value=value, reader=reader.name))
    return tuple(found)


def _maker(graph: Graph, name: str) -> str:
    """The weighted layer behind `name` (or the nearest node without inputs)."""
    node = graph.by_name[name]
    while not isinstance(node, Conv2d | Linear) and node.inputs:
        node = graph.by_name[node.inputs[0]]
    return node.name


def _difference(old: Conv2d | Linear, closed: Graph) -> list[Removal]:
    """What became zero in `old`: whole filters, and input channels (for a linear layer: columns) of the others."""
    new = closed.by_name[old.name]
    assert isinstance(new, Conv2d | Linear)
    before = old.weight.reshape(len(old.bias), old.weight.shape[1], -1)
    after = new.weight.reshape(before.shape)
    had = before.any(axis=(1, 2)) | (old.bias != 0)
    has = after.any(axis=(1, 2)) | (new.bias != 0)
    filters = np.flatnonzero(had & ~has)
    lost = (before != 0) & (after == 0)
    channels = np.flatnonzero(before.any(axis=(0, 2)) & ~after.any(axis=(0, 2)))
    in_filters = int(lost[filters].sum())
    entries = (
        (Kind.FILTERS, filters, in_filters),
        (Kind.COLUMNS if isinstance(old, Linear) else Kind.CHANNELS, channels, int(lost.sum()) - in_filters),
    )
    return [
        Removal(rule=Rule.PATH, layer=old.name, kind=kind, indices=tuple(map(int, index)), weights=count)
        for kind, index, count in entries
        if len(index) or count
    ]
