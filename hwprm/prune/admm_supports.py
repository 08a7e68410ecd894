"""Which rows and columns of all layers stay together, and cutting a module down to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwprm.graph import WEIGHTED, BatchNorm, Conv2d, Graph, Linear, Node
from hwprm.nets import GraphModule
from hwprm.prune.admm_budgets import layer_matrices
from hwprm.prune.projections import Limits, Support, support

__all__ = ["choose_supports", "hard_prune", "kept_indices", "matrix"]


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
    nonzero = {name: (weight != 0).any(axis=0) for name, weight in weights.items()}
    for node in reversed(graph.weighted):
        name = node.name
        if name not in limits:
            continue
        weight = weights[name]
        if path_aware and limits[name].rows is not None:
            weight = np.where(_read(graph, node, nonzero)[:, None], weight, 0)
        chosen[name] = support(weight, limits[name])
        nonzero[name] = nonzero[name] & chosen[name].cols
    return chosen


def hard_prune(module: GraphModule, supports: Mapping[str, Support]) -> None:
    """Set every weight outside `supports` to zero, exactly onto the constraint.

    Biases of pruned rows go too, and the scale and shift of batch norms behind them: the map of a pruned filter is
    then exactly zero, and removing it is exact with any padding.
    """
    with torch.no_grad():
        for name, kept in supports.items():
            weight = module.weight(name)
            gone = torch.from_numpy(~kept.mask).reshape(weight.shape)
            weight.masked_fill_(gone, 0.0)
            rows = torch.from_numpy(~kept.rows)
            module.bias(name).masked_fill_(rows, 0.0)
            for norm in _norms_behind(module.graph, module.graph.by_name[name]):
                module.weight(norm.name).masked_fill_(rows, 0.0)
                module.bias(norm.name).masked_fill_(rows, 0.0)


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


def _read(graph: Graph, node: Conv2d | Linear, nonzero: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Which rows ``(M,)`` of `node` some later layer reads; all where the tensor leaves the network."""
    rows = node.weight.shape[0]
    read = np.zeros(rows, dtype=bool)
    for reader in _behind(graph, node):
        if reader.name in graph.outputs and not isinstance(reader, WEIGHTED):
            return np.ones(rows, dtype=bool)
        if isinstance(reader, Conv2d) and reader.groups != 1:
            return np.ones(rows, dtype=bool)
        if isinstance(reader, WEIGHTED):
            # Columns are channel-major: this layer's maps own equal runs of them, also behind a flatten.
            read |= nonzero[reader.name].reshape(rows, -1).any(axis=1)
    return np.ones(rows, dtype=bool) if node.name in graph.outputs else read


def _behind(graph: Graph, node: Node) -> Iterator[Node]:
    """Every node reached from `node` up to and including the next layers with weights."""
    for reader in graph.consumers(node.name):
        yield reader
        if not isinstance(reader, WEIGHTED):
            yield from _behind(graph, reader)


def _norms_behind(graph: Graph, node: Node) -> Iterator[BatchNorm]:
    return (reader for reader in _behind(graph, node) if isinstance(reader, BatchNorm))
