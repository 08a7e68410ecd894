"""Unused-path removal: the exact half of P-RM (Ma et al., section 3, figure 2).

A filter whose channel no reader uses is dead, a channel whose filter is blank is unused. Constants are swept forward
(`hwprm.pruning.paths.constants`), need is swept backward; need makes no new constants, so the two sweeps are the fixed
point.
Nothing here looks at a norm: the outputs stay what they were.

A channel of a residual sum is needed by every summand, and with it the filters that make it there: it goes where no
reader of any of these tensors is left. Concat and channel selection only rename channels.

To support another operator, register it with `reads` here, with the two rules of `constants` and those of `compact`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import singledispatch
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import ConfigError, UnsupportedError
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
    Linear,
    MaxPool2d,
    Node,
    Relu,
    Shape,
    Unflatten,
    Upsample,
)
from hwprm.pruning.paths.constants import Constants, fold_constants
from hwprm.pruning.paths.removals import Kind, Refusal, Removal, Removals, Rule

__all__ = ["constant_outputs", "emptied_layers", "needed_channels", "reads", "remove_unused_paths"]

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
    folded, _ = fold_constants(graph)
    need = needed_channels(folded)
    closed = folded.replace(*(_silence(node, need[node.name]) for node in folded.nodes))
    # What stays is named as it stands in the result: of a sum's filters, those that are not blank by now.
    refused = _refusals(closed, fold_constants(closed)[1], needed_channels(closed))
    if refused and inexact == "refuse":
        raise UnsupportedError(str(refused[0]))
    removed = [record for old in graph.weighted for record in _difference(old, closed)]
    return closed, Removals(removed=tuple(removed), refused=refused)


def needed_channels(graph: Graph) -> dict[str, BoolArray]:
    """For each tensor ``(C,)``: does an output depend on the channel? The input and the outputs count as needed."""
    return _needed_by(graph, {*graph.outputs, *(node.name for node in graph.nodes if not node.inputs)})


def _needed_by(graph: Graph, always: Collection[str]) -> dict[str, BoolArray]:
    """For each tensor ``(C,)``: do the tensors `always` depend on the channel (or is it one of theirs)?"""
    need = {name: np.full(shape[0], name in always) for name, shape in graph.shapes.items()}
    for node in reversed(graph.nodes):
        if node.inputs:
            masks = reads(node, need[node.name], [graph.shapes[name] for name in node.inputs])
            for name, mask in zip(node.inputs, masks, strict=True):
                need[name] |= mask
    return need


def emptied_layers(graph: Graph) -> list[str]:
    """Layers that have no weight left once constants are folded, first cause first, if an output is constant by them.

    Empty when every output still depends on an input; a residual branch without weights alone is no harm.
    """
    folded, _ = fold_constants(graph)
    dead: list[str] = []
    constant: list[str] = []
    for output in folded.outputs:
        need = _needed_by(folded, {output})
        if not any(need[node.name].any() for node in folded.nodes if not node.inputs):
            dead.append(output)
            constant += [x.name for x in folded.weighted if need[x.name].any() and not x.weight[need[x.name]].any()]
    behind = _ancestors(folded, dead)
    return [x.name for x in folded.weighted if x.name in behind and not x.weight.any()] or constant or dead


def constant_outputs(graph: Graph) -> set[tuple[str, int]]:
    """``(output, channel)`` that do not depend on any input: classes whose score is always the same."""
    _, constants = fold_constants(graph)
    return {(name, int(channel)) for name in graph.outputs for channel in np.flatnonzero(constants[name].known)}


def _ancestors(graph: Graph, names: Collection[str]) -> set[str]:
    """`names` and every node that they are made from."""
    found = set(names)
    for node in reversed(graph.nodes):
        if node.name in found:
            found |= set(node.inputs)
    return found


@singledispatch
def reads(node: Node, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    """For each input: which of its channels do the needed channels of `node` depend on?"""
    raise UnsupportedError(f"{node.name!r}: unused-path removal does not know {type(node).__name__}; prune without it")


@reads.register
def _(node: Conv2d, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    m, channels = node.weight.shape[:2]
    grouped = node.weight.any(axis=(2, 3)).reshape(node.groups, m // node.groups, channels)
    used: BoolArray = (grouped & need.reshape(node.groups, -1, 1)).any(axis=1).reshape(-1)
    return [used]


@reads.register
def _(node: Linear, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    return [np.logical_and(need, node.weight.T != 0).any(axis=1)]


@reads.register
def _(node: BatchNorm, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    return [np.logical_and(need, node.weight != 0)]


@reads.register(AdaptiveAvgPool2d)
@reads.register(AvgPool2d)
@reads.register(Clamp)
@reads.register(MaxPool2d)
@reads.register(Relu)
@reads.register(Unflatten)
@reads.register(Upsample)
def _(node: Node, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    return [need]


@reads.register
def _(node: Add, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    return [need] * len(shapes)


@reads.register
def _(node: Concat, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    return np.split(need, np.cumsum([shape[0] for shape in shapes])[:-1])


@reads.register
def _(node: Channels, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    used = np.zeros(shapes[0][0], dtype=bool)
    used[np.array(node.indices, dtype=np.intp)[need]] = True
    return [used]


@reads.register
def _(node: Flatten, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
    used: BoolArray = np.any(need.reshape(shapes[0][0], -1), axis=1)
    return [used]


def _silence(node: Node, need: BoolArray) -> Node:
    """`node` with zeros for what nobody needs; a batch norm's statistics stay, its output is zero all the same."""
    if not isinstance(node, Conv2d | Linear | BatchNorm):
        return node
    rows = need.reshape(-1, *[1] * (node.weight.ndim - 1))
    zero = node.weight.dtype.type(0)
    return replace(node, weight=np.where(rows, node.weight, zero), bias=np.where(need, node.bias, zero))


def _refusals(graph: Graph, constants: Mapping[str, Constants], need: Mapping[str, BoolArray]) -> tuple[Refusal, ...]:
    found = []
    for reader in graph.nodes:
        if not isinstance(reader, Conv2d | Linear | AvgPool2d):
            continue
        source = reader.inputs[0]
        stays = reads(reader, need[reader.name], [graph.shapes[source]])[0] & constants[source].known
        if isinstance(reader, AvgPool2d):
            stays &= ~constants[reader.name].known
        for channel in map(int, np.flatnonzero(stays)):
            value = float(constants[source].value[channel])
            for layer, row in _makers(graph, constants, source, channel):
                found.append(Refusal(layer=layer, filter=row, value=value, reader=reader.name))
    return tuple(found)


def _makers(graph: Graph, constants: Mapping[str, Constants], name: str, channel: int) -> list[tuple[str, int]]:
    """The layers and filters (or nodes without inputs) that make `channel` of `name`; of a sum, those not zero."""
    node = graph.by_name[name]
    if isinstance(node, Conv2d | Linear) or not node.inputs:
        return [(name, channel)]
    source = node.inputs[0]
    if isinstance(node, Add):
        inputs = [x for x in dict.fromkeys(node.inputs) if constants[x].value[channel] != 0]
        found = [maker for x in inputs for maker in _makers(graph, constants, x, channel)]
        return list(dict.fromkeys(found)) or [(name, channel)]
    if isinstance(node, Channels):
        channel = node.indices[channel]
    elif isinstance(node, Flatten):
        channel //= graph.shapes[name][0] // graph.shapes[source][0]
    elif isinstance(node, Concat):
        for source in node.inputs:
            if channel < graph.shapes[source][0]:
                break
            channel -= graph.shapes[source][0]
    return _makers(graph, constants, source, channel)


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
