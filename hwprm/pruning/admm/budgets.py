"""From budgets in a configuration to limits on each layer's matrix, checked against the network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from hwprm.config.admm import AdmmConfig, LayerBudget
from hwprm.core.errors import ConfigError
from hwprm.graph import Graph
from hwprm.pruning.admm.projections import Limits
from hwprm.pruning.statistics import columns_per_channel, makes_output

__all__ = [
    "PRESETS",
    "LayerMatrix",
    "Preset",
    "final_limits",
    "layer_matrices",
    "limits_towards",
    "preset_of",
    "resolve_budgets",
    "shrink",
]


@dataclass(frozen=True, kw_only=True)
class LayerMatrix:
    """Geometry of one weighted layer: matrix ``(rows, cols)``, `group` columns per input channel."""

    name: str
    rows: int
    cols: int
    group: int
    #: Its rows leave the network (the classes), so they are never pruned.
    last: bool


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Budgets tuned on one network."""

    #: Of its layers' matrices.
    shapes: Mapping[str, tuple[int, int]]
    #: What they reach, as `AdmmConfig.compression` asks for it.
    compression: float
    budgets: Mapping[str, LayerBudget]


#: By name, as `AdmmConfig.preset` takes it.
PRESETS: Mapping[str, Preset] = {
    # 10,700 of 430,500 weights, 40.2x. fc1 reads as many maps as conv2 keeps filters, fc2 as many neurons as fc1 keeps,
    # so paths agree.
    "lenet5-40x": Preset(
        shapes={"conv1": (20, 25), "conv2": (50, 500), "fc1": (500, 800), "fc2": (10, 500)},
        compression=40.0,
        budgets={
            "conv1": LayerBudget(filters=10, columns=20),
            "conv2": LayerBudget(filters=20, columns=125, channels=10),
            "fc1": LayerBudget(filters=50, columns=150, channels=20),
            "fc2": LayerBudget(columns=50),
        },
    ),
}


def layer_matrices(graph: Graph) -> dict[str, LayerMatrix]:
    """The matrix of every weighted layer, in order."""
    return {
        node.name: LayerMatrix(
            name=node.name,
            rows=node.weight.shape[0],
            cols=math.prod(node.weight.shape[1:]),
            group=columns_per_channel(graph, node),
            last=makes_output(graph, node.name),
        )
        for node in graph.weighted
    }


def resolve_budgets(graph: Graph, config: AdmmConfig) -> dict[str, LayerBudget]:
    """The budget of each layer: those of the configuration, checked, or defaults; rounded as it asks for.

    Raises ConfigError, naming layer, asked and available, when a budget does not fit.
    """
    matrices = layer_matrices(graph)
    budgets = _defaults(matrices, config) if config.budgets is None else dict(config.budgets)
    for name, budget in budgets.items():
        if name not in matrices:
            raise ConfigError(f"admm.budgets names {name!r}, the layers with weights are {', '.join(matrices)}")
        _check(matrices[name], budget)
    return {name: _rounded(matrices[name], budget, config) for name, budget in budgets.items()}


def preset_of(graph: Graph, config: AdmmConfig) -> str | None:
    """The name of the tuned budgets that `resolve_budgets` takes, or None. Raises ConfigError when one does not fit."""
    tuned = config.budgets is None and config.limits is None and config.structure == "structured"
    return _preset(layer_matrices(graph), config) if tuned else None


def shrink(matrix: LayerMatrix, budget: LayerBudget, share: float, *, rows: bool, cols: bool) -> Limits:
    """Limits after `share` (0..1] of the way from the full matrix to `budget`, geometrically; only the parts asked."""

    def towards(full: int, target: int | None) -> int | None:
        return None if target is None else max(target, round(full * (target / full) ** share))

    return Limits(
        rows=towards(matrix.rows, budget.filters) if rows else None,
        cols=towards(matrix.cols, budget.columns) if cols else None,
        groups=towards(matrix.cols // matrix.group, budget.channels) if cols else None,
        group=matrix.group,
        weights=towards(matrix.rows * matrix.cols, budget.weights) if cols else None,
    )


def limits_towards(
    graph: Graph, budgets: Mapping[str, LayerBudget], share: float, rows: bool, cols: bool
) -> dict[str, Limits]:
    """By layer, where there are any, the limits that `shrink` gives for its budget."""
    matrices = layer_matrices(graph)
    found = {name: shrink(matrices[name], budget, share, rows=rows, cols=cols) for name, budget in budgets.items()}
    return {name: limit for name, limit in found.items() if not limit.none}


def final_limits(graph: Graph, config: AdmmConfig) -> dict[str, Limits]:
    """What every layer keeps at most in the end. Raises ConfigError as `resolve_budgets` does."""
    return limits_towards(graph, resolve_budgets(graph, config), 1.0, rows=True, cols=True)


def _check(matrix: LayerMatrix, budget: LayerBudget) -> None:
    channels = matrix.cols // matrix.group
    weights = matrix.rows * matrix.cols
    available = {"filters": matrix.rows, "columns": matrix.cols, "channels": channels, "weights": weights}
    for name, most in available.items():
        asked = getattr(budget, name)
        if asked is not None and asked > most:
            raise ConfigError(f"admm.budgets.{matrix.name}.{name} asks for {asked}, the layer has {most}; ask for less")
    if matrix.last and budget.filters not in (None, matrix.rows):
        raise ConfigError(
            f"admm.budgets.{matrix.name}.filters asks for {budget.filters} of {matrix.rows}, but these rows are the "
            "outputs of the network; leave it out"
        )


def _rounded(matrix: LayerMatrix, budget: LayerBudget, config: AdmmConfig) -> LayerBudget:
    """`budget` with filters, and the channels that are filters of the layer before, in multiples of `round_to`."""
    step = config.round_to if budget.round_to is None else budget.round_to
    return replace(
        budget,
        filters=budget.filters if matrix.last else _nearest(budget.filters, matrix.rows, step),
        channels=_nearest(budget.channels, matrix.cols // matrix.group, step),
        columns=_nearest(budget.columns, matrix.cols, config.round_columns_to),
    )


def _nearest(count: int | None, most: int, step: int) -> int | None:
    """The multiple of `step` next to `count`, the larger of two; one multiple at least, `most` at most."""
    return None if count is None else min(most, max(step, (2 * count + step) // (2 * step) * step))


def _defaults(matrices: Mapping[str, LayerMatrix], config: AdmmConfig) -> dict[str, LayerBudget]:
    compression = config.compression
    if config.structure == "unstructured":
        return {
            name: LayerBudget(weights=max(1, round(matrix.rows * matrix.cols / compression)))
            for name, matrix in matrices.items()
        }
    if preset := _preset(matrices, config):
        return dict(PRESETS[preset].budgets)
    _refuse_too_much(matrices, compression)
    share = 1 / math.sqrt(compression)
    return {
        name: LayerBudget(
            filters=None if matrix.last else max(1, round(matrix.rows * share)),
            columns=max(1, round(matrix.cols * (share * share if matrix.last else share))),
        )
        for name, matrix in matrices.items()
    }


def _preset(matrices: Mapping[str, LayerMatrix], config: AdmmConfig) -> str | None:
    shapes = {name: (matrix.rows, matrix.cols) for name, matrix in matrices.items()}
    if config.preset == "auto":
        fits = (name for name, one in PRESETS.items() if (one.shapes, one.compression) == (shapes, config.compression))
        return next(fits, None)
    if config.preset == "none":
        return None
    if PRESETS[config.preset].shapes != shapes:
        wanted = ", ".join(f"{name} {rows} x {cols}" for name, (rows, cols) in PRESETS[config.preset].shapes.items())
        raise ConfigError(f"admm.preset = {config.preset} was tuned for a network of {wanted}; use admm.preset = none")
    return config.preset


def _refuse_too_much(matrices: Mapping[str, LayerMatrix], compression: float) -> None:
    """Raise ConfigError when not even one row and one column of every layer, all rows of the last, are so few."""
    full = sum(matrix.rows * matrix.cols for matrix in matrices.values())
    least = sum(matrix.rows if matrix.last else 1 for matrix in matrices.values())
    if compression * least > full:
        raise ConfigError(
            f"admm.compression = {compression:g} cannot be met: one filter and one column of every layer, and all "
            f"outputs, make at most about {full // least} x here; lower it, or set admm.structure to unstructured"
        )
