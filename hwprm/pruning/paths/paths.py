"""Unused-path removal: the exact half of P-RM (Ma et al., section 3, figure 2).

A filter whose channel no reader uses is dead, a channel whose filter is blank is unused. Constants are swept forward
(`hwprm.pruning.paths.constants`), need is swept backward; need makes no new constants, so the two sweeps are the fixed
point.
Nothing here looks at a norm: the outputs stay what they were.

A channel of a residual sum is needed by every summand, and with it the filters that make it there: it goes where no
reader of any of these tensors is left. Concat and channel selection only rename channels.

What an operator hands on, reads and keeps constant is told in its file in `hwprm/graph/ops`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import ConfigError, UnsupportedError
from hwprm.graph import BatchNorm, Conv2d, Graph, Linear, Node
from hwprm.graph.liveness import channel_makers, needed_channels
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.node import Weighted
from hwprm.pruning.paths.constants import fold_constants
from hwprm.pruning.paths.removals import Kind, Refusal, Removal, Removals, Rule

__all__ = ["constant_outputs", "emptied_layers", "remove_unused_paths"]

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


def emptied_layers(graph: Graph) -> list[str]:
    """Layers that have no weight left once constants are folded, first cause first, if an output is constant by them.

    Empty when every output still depends on an input; a residual branch without weights alone is no harm.
    """
    folded, _ = fold_constants(graph)
    dead: list[str] = []
    constant: list[str] = []
    for output in folded.outputs:
        need = needed_channels(folded, {output})
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
        if len(reader.inputs) != 1:
            continue
        source = reader.inputs[0]
        stays = constants[source].known & _stuck(reader, graph, constants, need[reader.name])
        for channel in map(int, np.flatnonzero(stays)):
            value = float(constants[source].value[channel])
            for layer, row in channel_makers(graph, constants, source, channel):
                found.append(Refusal(layer=layer, filter=row, value=value, reader=reader.name))
    return tuple(found)


def _stuck(reader: Node, graph: Graph, constants: Mapping[str, Constants], need: BoolArray) -> BoolArray:
    """``(C,)``: which channels of its input, if constant, `reader` could not take in: they meet its zero padding."""
    shapes = [graph.shapes[reader.inputs[0]]]
    if isinstance(reader, Weighted):
        return reader.reads(need, shapes)[0]
    (link,) = reader.links(shapes)
    if len(np.unique(link.out)) < len(link.out):  # what varies may come from another channel
        return np.zeros(shapes[0][0], dtype=bool)
    return link.backward(need & ~constants[reader.name].known, shapes[0][0])


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
