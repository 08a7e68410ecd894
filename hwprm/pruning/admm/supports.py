"""Which rows and columns of all layers stay together, and cutting a module down to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwprm.graph import BatchNorm, Conv2d, Graph, Node, Shape
from hwprm.graph.liveness import constant_channels, filled_lines, needed_channels
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.node import Weighted
from hwprm.nets import GraphModule
from hwprm.pruning.admm.budgets import layer_matrices
from hwprm.pruning.admm.projections import Limits, Support, support

__all__ = ["choose_supports", "hard_prune", "kept_indices", "matrix"]

BoolArray = NDArray[np.bool_]


def matrix(module: GraphModule, name: str) -> NDArray[Any]:
    """The weights of layer `name` as ``(M, C*KH*KW)``, a copy."""
    weight = module.weight(name).detach().cpu()
    return weight.reshape(len(weight), -1).contiguous().numpy().copy()


def choose_supports(
    graph: Graph,
    weights: Mapping[str, NDArray[Any]],
    limits: Mapping[str, Limits],
    path_aware: bool,
    gains: Mapping[str, NDArray[np.float64]] = MappingProxyType({}),
) -> dict[str, Support]:
    """The projection of every layer in `limits`; `weights` holds every weighted layer's matrix ``(M, K)``.

    Rows are compared times their `gains` ``(M,)``, those of the batch norm behind them (`norm_gains`): nearest is what
    is nearest in the folded network.

    With `path_aware`, layers are chosen from the last to the first, and a row whose map no chosen column of a later
    layer reads counts as zero: filters and the columns that read them then agree, as they do not when each layer is
    projected on its own.
    """
    chosen: dict[str, Support] = {}

    def reads(node: Node, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
        if isinstance(node, BatchNorm):
            return [need]  # a scale that starts at zero is trained, and not a reason to prune
        if not isinstance(node, Weighted):
            return node.reads(need, shapes)
        alive = weights[node.name] != 0
        if node.name in limits:
            limit, weight = limits[node.name], weights[node.name]
            if node.name in gains:
                weight = weight * gains[node.name][:, None]
            if path_aware and (limit.rows is not None or limit.weights is not None):
                weight = np.where(need[:, None], weight, 0)
            chosen[node.name] = support(weight, limit)
            alive &= _reading(node, limit, chosen[node.name])
        return [node.channels_read(alive, shapes[0][0])]

    needed_channels(graph, graph.outputs, reads)
    return chosen


def _reading(node: Weighted, limit: Limits, kept: Support) -> BoolArray:
    """What of a chosen support decides which channels `node` reads: columns, unless rows have columns of their own."""
    own = limit.weights is not None or (isinstance(node, Conv2d) and node.groups > 1)
    return kept.mask if own else kept.cols[None, :]


def hard_prune(module: GraphModule, supports: Mapping[str, Support]) -> None:
    """Set every weight outside `supports` to zero, exactly onto the constraint.

    Biases of pruned rows go too, and the scale and shift of batch norms behind them: the map of a pruned filter is
    then exactly zero, and removing it is exact with any padding. Behind a sum that takes all its summands to be gone.
    """
    with torch.no_grad():
        for name, kept in supports.items():
            weight = module.weight(name)
            gone = torch.from_numpy(~kept.mask).reshape(weight.shape)
            weight.masked_fill_(gone.to(weight.device), 0.0)
            rows = torch.from_numpy(~kept.rows).to(weight.device)
            module.bias(name).masked_fill_(rows, 0.0)
        for norm, silent in _silent_norms(module.graph, {name: ~kept.rows for name, kept in supports.items()}):
            channels = torch.from_numpy(silent).to(module.weight(norm).device)
            module.weight(norm).masked_fill_(channels, 0.0)
            module.bias(norm).masked_fill_(channels, 0.0)


def kept_indices(module: GraphModule) -> dict[str, dict[str, list[int]]]:
    """Per layer, the indices of rows and columns that are not all zero: ``{layer: {"rows": [...], "cols": [...]}}``."""
    plan = {}
    for name in layer_matrices(module.graph):
        rows, cols = filled_lines(matrix(module, name))
        plan[name] = {"rows": np.flatnonzero(rows).tolist(), "cols": np.flatnonzero(cols).tolist()}
    return plan


def _silent_norms(graph: Graph, gone: Mapping[str, BoolArray]) -> Iterator[tuple[str, BoolArray]]:
    """Each batch norm and which of its channels ``(C,)`` read zeros only, when the rows `gone` ``(M,)`` make zeros."""

    def given(node: Node, sources: Sequence[Constants]) -> Constants | None:
        channels = graph.shapes[node.name][0]
        if isinstance(node, Weighted):
            return Constants(gone.get(node.name, np.zeros(channels, dtype=bool)), np.zeros(channels))
        return sources[0] if isinstance(node, BatchNorm) else None  # the norm of a zero becomes zero too

    constants = constant_channels(graph, given)
    for node in graph.nodes:
        if isinstance(node, BatchNorm):
            source = constants[node.inputs[0]]
            yield node.name, source.known & (source.value == 0)
