"""Which rows and columns of all layers stay together, and cutting a module down to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwprm.graph import WEIGHTED, BatchNorm, Channels, Clamp, Concat, Conv2d, Flatten, Graph, Input, Linear, Node
from hwprm.nets import GraphModule
from hwprm.pruning.admm.budgets import layer_matrices
from hwprm.pruning.admm.projections import Limits, Support, support
from hwprm.pruning.paths.paths import reads

__all__ = ["choose_supports", "hard_prune", "kept_indices", "matrix"]

BoolArray = NDArray[np.bool_]


def matrix(module: GraphModule, name: str) -> NDArray[Any]:
    """The weights of layer `name` as ``(M, C*KH*KW)``, a copy."""
    weight = module.weight(name).detach().cpu()
    return weight.reshape(len(weight), -1).contiguous().numpy().copy()


def choose_supports(
    graph: Graph, weights: Mapping[str, NDArray[Any]], limits: Mapping[str, Limits], path_aware: bool
) -> dict[str, Support]:
    """The projection of every layer in `limits`; `weights` holds every weighted layer's matrix ``(M, K)``.

    With `path_aware`, layers are chosen from the last to the first, and a row whose map no chosen column of a later
    layer reads counts as zero: filters and the columns that read them then agree, as they do not when each layer is
    projected on its own.
    """
    chosen: dict[str, Support] = {}
    need = {name: np.full(shape[0], name in graph.outputs) for name, shape in graph.shapes.items()}
    for node in reversed(graph.nodes):
        shapes = [graph.shapes[name] for name in node.inputs]
        if isinstance(node, WEIGHTED):
            alive = weights[node.name] != 0
            if node.name in limits:
                limit, weight = limits[node.name], weights[node.name]
                if path_aware and (limit.rows is not None or limit.weights is not None):
                    weight = np.where(need[node.name][:, None], weight, 0)
                chosen[node.name] = support(weight, limit)
                alive &= _reading(node, limit, chosen[node.name])
            masks = [_channels_read(node, alive, shapes[0][0])]
        elif isinstance(node, BatchNorm):
            masks = [need[node.name]]  # a scale that starts at zero is trained, and not a reason to prune
        else:
            masks = reads(node, need[node.name], shapes) if node.inputs else []
        for name, mask in zip(node.inputs, masks, strict=True):
            need[name] |= mask
    return chosen


def _reading(node: Conv2d | Linear, limit: Limits, kept: Support) -> BoolArray:
    """What of a chosen support decides which channels `node` reads: columns, unless rows have columns of their own."""
    own = limit.weights is not None or (isinstance(node, Conv2d) and node.groups > 1)
    return kept.mask if own else kept.cols[None, :]


def _channels_read(node: Conv2d | Linear, alive: BoolArray, channels: int) -> BoolArray:
    """``(C,)``: which input channels the weights `alive` ``(M, K)`` read. Columns are channel-major."""
    groups = node.groups if isinstance(node, Conv2d) else 1
    per_group = alive.reshape(groups, -1, channels // groups, alive.shape[1] * groups // channels)
    found: BoolArray = per_group.any(axis=(1, 3)).reshape(-1)
    return found


def hard_prune(module: GraphModule, supports: Mapping[str, Support]) -> None:
    """Set every weight outside `supports` to zero, exactly onto the constraint.

    Biases of pruned rows go too, and the scale and shift of batch norms behind them: the map of a pruned filter is
    then exactly zero, and removing it is exact with any padding. Behind a sum that takes all its summands to be gone.
    """
    with torch.no_grad():
        for name, kept in supports.items():
            weight = module.weight(name)
            gone = torch.from_numpy(~kept.mask).reshape(weight.shape)
            weight.masked_fill_(gone, 0.0)
            rows = torch.from_numpy(~kept.rows)
            module.bias(name).masked_fill_(rows, 0.0)
        for norm, silent in _silent_norms(module.graph, {name: ~kept.rows for name, kept in supports.items()}):
            channels = torch.from_numpy(silent)
            module.weight(norm).masked_fill_(channels, 0.0)
            module.bias(norm).masked_fill_(channels, 0.0)


def kept_indices(module: GraphModule) -> dict[str, dict[str, list[int]]]:
    """Per layer, the indices of rows and columns that are not all zero: ``{layer: {"rows": [...], "cols": [...]}}``."""
    plan = {}
    for name in layer_matrices(module.graph):
        alive = matrix(module, name) != 0
        plan[name] = {
            "rows": [int(i) for i in np.flatnonzero(alive.any(axis=1))],
            "cols": [int(i) for i in np.flatnonzero(alive.any(axis=0))],
        }
    return plan


def _silent_norms(graph: Graph, gone: Mapping[str, BoolArray]) -> Iterator[tuple[str, BoolArray]]:
    """Each batch norm and which of its channels ``(C,)`` read zeros only, when the rows `gone` ``(M,)`` make zeros."""
    silent: dict[str, BoolArray] = {}
    for node in graph.nodes:
        channels = graph.shapes[node.name][0]
        ins = [silent[name] for name in node.inputs]
        if isinstance(node, (*WEIGHTED, Input)):
            silent[node.name] = gone.get(node.name, np.zeros(channels, dtype=bool))
        else:
            silent[node.name] = _stays_zero(node, ins, channels)
        if isinstance(node, BatchNorm):
            yield node.name, ins[0]


def _stays_zero(node: Node, ins: list[BoolArray], channels: int) -> BoolArray:
    """``(C,)``: is a channel of `node`, which holds no matrix, zero because of the zero channels `ins`?"""
    if isinstance(node, Concat):
        return np.concatenate(ins)
    if isinstance(node, Channels):
        return ins[0][list(node.indices)]
    if isinstance(node, Flatten):
        return np.repeat(ins[0], channels // len(ins[0]))
    if isinstance(node, Clamp) and ((node.low or 0.0) > 0 or (node.high or 0.0) < 0):
        return np.zeros(channels, dtype=bool)
    every: BoolArray = np.all(ins, axis=0)
    return every
