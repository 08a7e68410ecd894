"""Thresholds of Algorithm 1 for one layer, and what they remove from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import ModelError
from hwprm.graph import Conv2d, Graph, Linear
from hwprm.pruning.paths.paths import emptied_layers
from hwprm.pruning.paths.removals import Kind, Removal, Rule
from hwprm.pruning.statistics import LayerStatistics, matrix_view

__all__ = ["EmptiedError", "Thresholds", "apply_thresholds", "relative_thresholds"]

BoolArray = NDArray[np.bool_]
#: Highest quantile that the automatic search may reach.
MAX_QUANTILE = 0.9


class EmptiedError(ModelError):
    """Thresholds would leave a layer without a weight."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Th1..Th4 of one layer, for squared norms; what lies strictly below is removed."""

    th1: float = 0.0
    th2: float = 0.0
    th3: float = 0.0
    th4: float = 0.0

    def to_json(self) -> dict[str, float]:
        """``{"th1": ..., ...}``."""
        return asdict(self)


def relative_thresholds(layer: LayerStatistics, scale: str, share: Sequence[float], th2: float) -> Thresholds:
    """Thresholds that follow the layer's own norms.

    `share` are three numbers in 0..1 for columns, channels and filters: 0 removes nothing. With `scale` ``"quantile"``
    share**2 * 0.9 of the layer's columns lie below Th1, with ``"median"`` Th1 is the square of share times the median
    norm; likewise for channels (Th3) and filters (Th4). Squared, because useful values are small.
    """
    norms = (layer.column_sq, layer.importance(0.0), layer.filter_sq)
    th1, th3, th4 = (_relative(values, scale, part) for values, part in zip(norms, share, strict=True))
    return Thresholds(th1=th1, th2=th2, th3=th3, th4=th4)


def _relative(norms: NDArray[np.float64], scale: str, share: float) -> float:
    alive = norms[norms > 0]
    if share == 0 or alive.size == 0:
        return 0.0
    if scale == "median":
        return float(np.median(alive)) * share**2
    # "lower" takes a norm that occurs, so exactly that many lie strictly below it (ties apart).
    return float(np.quantile(alive, share**2 * MAX_QUANTILE, method="lower"))


def apply_thresholds(
    graph: Graph, statistics: Sequence[LayerStatistics], thresholds: Mapping[str, Thresholds], *, literal: bool = False
) -> tuple[Graph, tuple[Removal, ...]]:
    """One pass of Algorithm 1 without its path rules: columns, then channels, then filters of every layer.

    Columns below Th1 go by themselves, and a channel is judged by those that are left. `literal`: as the algorithm is
    printed, where they only give evidence against their channel, and alone stay.

    Biases stay: a filter without weights makes a constant, which unused-path removal deals with exactly.
    The rows of a network output and the channels of the network input are left alone (an input channel may lose
    single columns). Raises EmptiedError, naming layer and threshold, when a layer loses its last weight and an output
    depends on the input by it alone (a residual branch may go whole).
    """
    changed, removals = [], []
    for layer, stats in zip(graph.weighted, statistics, strict=True):
        new, records = _apply_to_layer(graph, layer, stats, thresholds[stats.name], literal)
        changed.append(new)
        removals += records
    return graph.replace(*changed), tuple(removals)


def _apply_to_layer(
    graph: Graph, layer: Conv2d | Linear, stats: LayerStatistics, limits: Thresholds, literal: bool
) -> tuple[Conv2d | Linear, list[Removal]]:
    matrix = matrix_view(graph, layer).copy()
    groups, height, width, delta = matrix.shape
    empty = (stats.column_sq > 0) & (stats.column_sq < limits.th1) & (not literal)
    eta, sigma = (judge(limits.th1, literal=literal) for judge in (stats.fullness, stats.importance))
    channels = (eta < limits.th2) & (sigma < limits.th3)
    filters = stats.filter_sq < limits.th4
    if stats.reads_input:
        channels[:] = False
    if stats.makes_output:
        filters[:] = False
    steps = (
        (Rule.COLUMN, Kind.COLUMNS, empty, (groups, 1, width, delta), f"Th1 = {limits.th1:.6g}"),
        (
            Rule.CHANNEL,
            Kind.CHANNELS,
            channels,
            (groups, 1, width, 1),
            f"Th2 = {limits.th2:.6g} and Th3 = {limits.th3:.6g}",
        ),
        (Rule.FILTER, Kind.FILTERS, filters, (groups, height, 1, 1), f"Th4 = {limits.th4:.6g}"),
    )
    records = []
    for rule, kind, mask, shape, text in steps:
        hit = (matrix != 0) & mask.reshape(shape)
        if not hit.any():
            continue
        matrix[hit] = 0
        gone = _groups_hit(hit, kind)
        records.append(Removal(rule=rule, layer=layer.name, kind=kind, indices=gone, weights=int(hit.sum())))
        if not matrix.any() and emptied_layers(graph.replace(replace(layer, weight=np.zeros_like(layer.weight)))):
            raise EmptiedError(
                f"layer {layer.name!r} would be emptied: {text} removes its last weights (squared norms reach "
                f"{stats.column_sq.max():.6g} per column, {stats.filter_sq.max():.6g} per filter); lower the threshold"
            )
    return replace(layer, weight=matrix.reshape(layer.weight.shape)), records


def _groups_hit(hit: BoolArray, kind: Kind) -> tuple[int, ...]:
    """Indices of the filters, channels or columns in which `hit` ``(groups, M/g, C/g, delta)`` has an entry."""
    axes: dict[Kind, tuple[int, ...]] = {Kind.FILTERS: (2, 3), Kind.CHANNELS: (1, 3), Kind.COLUMNS: (1,)}
    return tuple(np.flatnonzero(hit.any(axis=axes[kind])).tolist())
