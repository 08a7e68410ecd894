"""From budgets in a configuration to limits on each layer's matrix, checked against the network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hwprm.config.admm import AdmmConfig, LayerBudget
from hwprm.errors import ConfigError
from hwprm.graph import Conv2d, Graph, Linear
from hwprm.prune.projections import Limits
from hwprm.prune.statistics import channel_pixels, makes_output

__all__ = ["LENET5_BUDGETS", "LayerMatrix", "layer_matrices", "resolve_budgets", "shrink"]


@dataclass(frozen=True, kw_only=True)
class LayerMatrix:
    """Geometry of one weighted layer: matrix ``(rows, cols)``, `group` columns per input channel."""

    name: str
    rows: int
    cols: int
    group: int
    #: Its rows leave the network (the classes), so they are never pruned.
    last: bool


#: Tuned on LeNet-5 (conv1 20x25, conv2 50x500, fc1 500x800, fc2 10x500): 10,650 of 430,500 weights, 40.4x.
#: fc1 reads as many maps as conv2 keeps filters, fc2 as many neurons as fc1 keeps, so paths agree.
LENET5_BUDGETS: Mapping[str, LayerBudget] = {
    "conv1": LayerBudget(filters=10, columns=20),
    "conv2": LayerBudget(filters=20, columns=125, channels=10),
    "fc1": LayerBudget(filters=50, columns=150, channels=20),
    "fc2": LayerBudget(columns=50),
}
LENET5_SHAPES = {"conv1": (20, 25), "conv2": (50, 500), "fc1": (500, 800), "fc2": (10, 500)}


def layer_matrices(graph: Graph) -> dict[str, LayerMatrix]:
    """The matrix of every weighted layer, in order."""
    return {
        node.name: LayerMatrix(
            name=node.name,
            rows=node.weight.shape[0],
            cols=math.prod(node.weight.shape[1:]),
            group=_group(graph, node),
            last=makes_output(graph, node.name),
        )
        for node in graph.weighted
    }


def resolve_budgets(graph: Graph, config: AdmmConfig) -> dict[str, LayerBudget]:
    """The budget of each layer: those of the configuration, checked, or defaults.

    Raises ConfigError, naming layer, asked and available, when a budget does not fit.
    """
    matrices = layer_matrices(graph)
    budgets = _defaults(matrices, config.compression) if config.budgets is None else dict(config.budgets)
    for name, budget in budgets.items():
        if name not in matrices:
            raise ConfigError(f"admm.budgets names {name!r}, the layers with weights are {', '.join(matrices)}")
        _check(matrices[name], budget)
    return budgets


def shrink(matrix: LayerMatrix, budget: LayerBudget, share: float, *, rows: bool, cols: bool) -> Limits:
    """Limits after `share` (0..1] of the way from the full matrix to `budget`, geometrically; only the parts asked."""

    def towards(full: int, target: int | None) -> int | None:
        return None if target is None else max(target, round(full * (target / full) ** share))

    return Limits(
        rows=towards(matrix.rows, budget.filters) if rows else None,
        cols=towards(matrix.cols, budget.columns) if cols else None,
        groups=towards(matrix.cols // matrix.group, budget.channels) if cols else None,
        group=matrix.group,
    )


def _check(matrix: LayerMatrix, budget: LayerBudget) -> None:
    channels = matrix.cols // matrix.group
    available = {"filters": matrix.rows, "columns": matrix.cols, "channels": channels}
    for name, most in available.items():
        asked = getattr(budget, name)
        if asked is not None and asked > most:
            raise ConfigError(f"admm.budgets.{matrix.name}.{name} asks for {asked}, the layer has {most}; ask for less")
    if matrix.last and budget.filters not in (None, matrix.rows):
        raise ConfigError(
            f"admm.budgets.{matrix.name}.filters asks for {budget.filters} of {matrix.rows}, but these rows are the "
            "outputs of the network; leave it out"
        )


def _defaults(matrices: Mapping[str, LayerMatrix], compression: float) -> dict[str, LayerBudget]:
    shapes = {name: (matrix.rows, matrix.cols) for name, matrix in matrices.items()}
    if shapes == LENET5_SHAPES and compression == 40.0:
        return dict(LENET5_BUDGETS)
    share = 1 / math.sqrt(compression)
    return {
        name: LayerBudget(
            filters=None if matrix.last else max(1, round(matrix.rows * share)),
            columns=max(1, round(matrix.cols * (share * share if matrix.last else share))),
        )
        for name, matrix in matrices.items()
    }


def _group(graph: Graph, node: Conv2d | Linear) -> int:
    """Columns per input channel: the kernel's taps, or behind a flatten the positions of one map."""
    if isinstance(node, Conv2d):
        return int(node.weight.shape[2] * node.weight.shape[3])
    return channel_pixels(graph, node.inputs[0])
