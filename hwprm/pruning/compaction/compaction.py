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
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hwprm.core.errors import ModelError
from hwprm.graph import BatchNorm, Conv2d, Graph, Linear, Node, evaluate
from hwprm.graph.liveness import filled_lines, kept_channels
from hwprm.model import Model, Stage
from hwprm.model.plan import mask_of
from hwprm.pruning.accounting import account, against
from hwprm.pruning.paths.paths import emptied_layers, remove_unused_paths
from hwprm.pruning.paths.summands import drop_constant_summands, without_copies

__all__ = ["compact", "compact_graph", "cut_channels", "prove_equal"]

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


def cut_channels(graph: Graph, keep: Mapping[str, BoolArray]) -> Graph:
    """`graph` with the channels `keep` alone; nodes of which nothing is kept are gone."""
    nodes = tuple(
        node.cut(keep[node.name], [keep[name] for name in node.inputs]) for node in graph.nodes if keep[node.name].any()
    )
    return Graph(nodes, graph.outputs)


def _plan(layer: Conv2d | Linear, keep: BoolArray) -> dict[str, Any]:
    matrix = layer.weight.reshape(len(layer.bias), -1) != 0
    _, cols = filled_lines(layer.weight)
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
