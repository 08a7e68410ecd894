"""Compaction: masked network to regular, smaller matrices, proven equal on the spot.

Blank filters go, and with each the channel of its readers (behind a flatten: one column per pixel). Channels that only
go together (of the summands of a residual sum; of what a channelwise operator reads and makes) stay if one is needed. A
residual branch without weights goes whole. A column that is
zero inside a channel that stays is kept as zeros in the weights; the plan lists the columns that are not zero, and
the accelerator's column lists skip the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import singledispatch
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hwprm.core.errors import ModelError, UnsupportedError
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
    Input,
    Linear,
    MaxPool2d,
    Node,
    Relu,
    Unflatten,
    Upsample,
    evaluate,
)
from hwprm.model import Model, Stage
from hwprm.model.plan import mask_of
from hwprm.pruning.accounting import account, against
from hwprm.pruning.paths.paths import emptied_layers, needed_channels, remove_unused_paths
from hwprm.pruning.paths.summands import drop_constant_summands, without_copies

__all__ = ["compact", "compact_graph", "cut_channels", "cut_node", "kept_channels", "prove_equal"]

BoolArray = NDArray[np.bool_]
Plan = dict[str, dict[str, Any]]

#: Relative to the largest number met on the way; float64 sums of some thousand terms stay well below.
TOLERANCE = 1e-12
#: Images of the proof; each filter meets hundreds of positions in every one.
PROOF_IMAGES = 4


def compact(model: Model) -> Model:
    """`model` with zero filters and the channels that read them gone, at `Stage.COMPACT`.

    ``meta["plan"]`` holds ``{layer: {"rows": kept filters, "cols": columns with a weight, "mask": ...}}`` in indices of
    the original matrix (``mask`` as `hwprm.model.mask_of` says), ``meta["shapes"]`` the shapes of the original weights.
    Unused paths are removed first, exactly, where that has not been done.
    Raises ModelError when the model is compact already, when a layer is pruned to nothing, and when the compact
    network does not give the outputs of the masked one.
    """
    if model.stage is Stage.COMPACT:
        raise ModelError("the model is compact already; its plan counts in the original matrices, use it as it is")
    graph, plan = compact_graph(model.graph)
    shapes = {layer.name: list(layer.weight.shape) for layer in model.graph.weighted}
    meta: dict[str, Any] = {"plan": plan, "shapes": shapes}
    if model.stage is not Stage.PURIFIED:
        meta["waterfall"] = [against(account(graph, model.graph).row("path_removal"), model.meta.get("waterfall", []))]
    return model.advance(graph, Stage.COMPACT, **meta)


def compact_graph(graph: Graph) -> tuple[Graph, Plan]:
    """The compact graph of a masked one, and its plan (see `compact`, which names the errors)."""
    wide = _with_dtype(graph, {node.name: np.float64 for node in graph.nodes})
    closed, _ = remove_unused_paths(wide)
    if empty := emptied_layers(wide):
        raise ModelError(
            f"layer {empty[0]!r} is pruned to nothing: no weight is left in it that matters, and an output does not "
            "depend on the input any more; keep more filters or columns there, or lower the thresholds"
        )
    closed = drop_constant_summands(closed)
    keep = kept_channels(closed)
    small = without_copies(cut_channels(closed, keep))
    prove_equal(wide, small)
    plan = {layer.name: _plan(layer, keep[layer.name]) for layer in closed.weighted if keep[layer.name].any()}
    dtypes = {node.name: node.weight.dtype for node in graph.nodes if _has_arrays(node)}
    common = next(iter(dtypes.values()), np.dtype(np.float64))  # a batch norm that took the place of a sum
    return _with_dtype(small, {node.name: dtypes.get(node.name, common) for node in small.nodes}), plan


def prove_equal(before: Graph, after: Graph, *, seed: int = 0) -> None:
    """Raise ModelError unless both graphs give the same outputs, to 1e-12, on a seeded random batch."""
    rng = np.random.default_rng(seed)
    images = {node.name: rng.normal(size=(PROOF_IMAGES, *node.shape)) for node in before.inputs}
    expected, got = evaluate(before, images), evaluate(after, images)
    size = max(1.0, max(float(np.abs(value).max()) for value in expected.values()))
    for name in before.outputs:
        error = float(np.abs(expected[name] - got[name]).max())
        if not error <= TOLERANCE * size:
            raise ModelError(
                f"compaction changed output {name!r} by {error:.3g} (values reach {size:.3g}), which must not happen; "
                "please report this network"
            )


def kept_channels(graph: Graph) -> dict[str, BoolArray]:
    """What stays of each tensor ``(C,)``: the channels that an output needs, and those that are bonded to one."""
    keep = {name: mask.copy() for name, mask in needed_channels(graph).items()}
    nodes = [node for node in graph.nodes if node.inputs]
    before = -1
    while (total := sum(int(mask.sum()) for mask in keep.values())) != before:
        before = total
        for node in reversed(nodes):
            if keep[node.name].any():  # else it is dead, and does not hold on to what it reads
                _bond(node, keep[node.name], [keep[name] for name in node.inputs])
    return keep


def cut_channels(graph: Graph, keep: Mapping[str, BoolArray]) -> Graph:
    """`graph` with the channels `keep` alone; nodes of which nothing is kept are gone."""
    nodes = tuple(
        cut_node(node, keep[node.name], [keep[name] for name in node.inputs])
        for node in graph.nodes
        if keep[node.name].any()
    )
    return Graph(nodes, graph.outputs)


@singledispatch
def _bond(node: Node, out: BoolArray, ins: list[BoolArray]) -> None:
    """Keep together (in place) the output and input channels of `node` that only go together."""
    raise UnsupportedError(f"{node.name!r}: compaction does not know {type(node).__name__}; leave the network as it is")


@_bond.register
def _(node: Conv2d, out: BoolArray, ins: list[BoolArray]) -> None:
    if node.groups == 1:
        _read_something(ins[0])
        return
    filters, channels = out.reshape(node.groups, -1), ins[0].reshape(node.groups, -1)  # views
    live = np.flatnonzero(filters.any(axis=1) | channels.any(axis=1))
    for mask in (filters, channels):  # every group that is left has as many of them as the fullest
        most = max(1, int(mask.sum(axis=1).max()))
        for group in live:
            spare = np.flatnonzero(~mask[group])
            mask[group, spare[: most - int(mask[group].sum())]] = True


@_bond.register
def _(node: Linear, out: BoolArray, ins: list[BoolArray]) -> None:
    _read_something(ins[0])


@_bond.register(AdaptiveAvgPool2d)
@_bond.register(Add)
@_bond.register(AvgPool2d)
@_bond.register(BatchNorm)
@_bond.register(Clamp)
@_bond.register(MaxPool2d)
@_bond.register(Relu)
@_bond.register(Unflatten)
@_bond.register(Upsample)
def _(node: Node, out: BoolArray, ins: list[BoolArray]) -> None:
    for mask in ins:
        out |= mask
    for mask in ins:
        mask |= out


@_bond.register
def _(node: Concat, out: BoolArray, ins: list[BoolArray]) -> None:
    parts = np.split(out, np.cumsum([len(mask) for mask in ins])[:-1])  # views
    for part, mask in zip(parts, ins, strict=True):
        part |= mask
        mask |= part


@_bond.register
def _(node: Channels, out: BoolArray, ins: list[BoolArray]) -> None:
    ins[0][np.array(node.indices, dtype=np.intp)[out]] = True


@_bond.register
def _(node: Flatten, out: BoolArray, ins: list[BoolArray]) -> None:
    pixels = out.reshape(len(ins[0]), -1)
    ins[0] |= pixels.any(axis=1)
    pixels |= ins[0][:, None]


def _read_something(channels: BoolArray) -> None:
    """A layer without weights that has to stay (its constant is needed) still has to read a channel."""
    if not channels.any():
        channels[0] = True


@singledispatch
def cut_node(node: Node, out: BoolArray, ins: list[BoolArray]) -> Node:
    """`node` with the channels `out` ``(C,)`` of its tensor alone, reading those of `ins` of each input."""
    return node


@cut_node.register
def _(node: Input, out: BoolArray, ins: list[BoolArray]) -> Node:
    return node


@cut_node.register
def _(node: Conv2d, out: BoolArray, ins: list[BoolArray]) -> Node:
    if node.groups == 1:
        return replace(node, weight=node.weight[out][:, ins[0]], bias=node.bias[out])
    groups = int(out.reshape(node.groups, -1).any(axis=1).sum())
    channels = ins[0].reshape(node.groups, -1)
    filters = len(out) // node.groups
    weight = np.stack([node.weight[m, channels[m // filters]] for m in np.flatnonzero(out)])
    return replace(node, weight=weight, bias=node.bias[out], groups=groups)


@cut_node.register
def _(node: Linear, out: BoolArray, ins: list[BoolArray]) -> Node:
    return replace(node, weight=node.weight[out][:, ins[0]], bias=node.bias[out])


@cut_node.register
def _(node: BatchNorm, out: BoolArray, ins: list[BoolArray]) -> Node:
    return replace(node, weight=node.weight[out], bias=node.bias[out], mean=node.mean[out], var=node.var[out])


@cut_node.register
def _(node: Concat, out: BoolArray, ins: list[BoolArray]) -> Node:
    return replace(node, inputs=tuple(name for name, mask in zip(node.inputs, ins, strict=True) if mask.any()))


@cut_node.register
def _(node: Channels, out: BoolArray, ins: list[BoolArray]) -> Node:
    place = np.cumsum(ins[0]) - 1
    return replace(node, indices=tuple(int(place[node.indices[c]]) for c in np.flatnonzero(out)))


def _plan(layer: Conv2d | Linear, keep: BoolArray) -> dict[str, Any]:
    matrix = layer.weight.reshape(len(layer.bias), -1) != 0
    cols = matrix.any(axis=0)
    mask = mask_of(matrix[np.ix_(keep, cols)])
    return {"rows": np.flatnonzero(keep).tolist(), "cols": np.flatnonzero(cols).tolist(), "mask": mask}


def _has_arrays(node: Node) -> TypeGuard[Conv2d | Linear | BatchNorm]:
    return isinstance(node, Conv2d | Linear | BatchNorm)


def _with_dtype(graph: Graph, dtypes: Mapping[str, DTypeLike]) -> Graph:
    changed = []
    for node in graph.nodes:
        values = ((f.name, getattr(node, f.name)) for f in fields(node))
        arrays: dict[str, Any] = {
            key: value.astype(dtypes[node.name]) for key, value in values if isinstance(value, np.ndarray)
        }
        changed.append(replace(node, **arrays) if arrays else node)
    return graph.replace(*changed)
