"""How much of each metric hangs on each dimension: main effects of an analysis of variance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hwprm.exploration.points import Point

__all__ = ["BINS", "importance", "main_effect"]

#: Groups of as many points each that numbers from an interval are put into, and fewest points of one.
BINS, LEAST = 5, 3


def importance(
    points: Iterable[Point], space: Sequence[Sequence[Any]], metrics: Iterable[str], *, drawn: bool
) -> dict[str, dict[str, float]]:
    """``{metric: {dimension: share}}`` of the variance of each metric over `points` that one dimension alone explains.

    `space` is that of a study's identity. Where points were `drawn` and not counted out, numbers of more than `BINS`
    values are put into groups like those of an interval: else every point would be a group, which explains itself. A
    metric that is everywhere the same is left out.
    """
    measured = [point for point in points if point.values]
    found: dict[str, dict[str, float]] = {}
    for metric in metrics:
        having = [point for point in measured if metric in point.values]
        values = [point.values[metric] for point in having]
        shares = {}
        for key, among in space:
            settings = [point.options[key] for point in having]
            interval = any(isinstance(value, float) for value in among)  # listed values are text there
            share = main_effect(_binned(settings) if interval or (drawn and len(among) > BINS) else settings, values)
            if share is not None:
                shares[key] = round(share, 6)
        if shares:
            found[metric] = shares
    return found


def main_effect(groups: Sequence[Any], values: Sequence[float]) -> float | None:
    """Variance of the means of `values` by group, over their variance: eta squared, the first-order Sobol index of a
    full grid. None where the values are all equal, which nothing can explain.
    """
    if not values or min(values) == max(values):
        return None
    mean = math.fsum(values) / len(values)
    members: dict[Any, list[float]] = {}
    for group, value in zip(groups, values, strict=True):
        members.setdefault(group, []).append(value)
    whole = math.fsum((value - mean) ** 2 for value in values)
    between = math.fsum(len(own) * (math.fsum(own) / len(own) - mean) ** 2 for own in members.values())
    return min(between / whole, 1.0)


def _binned(settings: Sequence[Any]) -> list[Any]:
    """The number of its quantile for every setting, equal ones in the same; text stays as it is."""
    if not all(isinstance(value, int | float) for value in settings):
        return list(settings)
    bins = max(1, min(BINS, len(settings) // LEAST))
    ordered = sorted(settings)
    first: Mapping[Any, int] = {value: i for i, value in reversed(list(enumerate(ordered)))}
    return [first[value] * bins // len(ordered) for value in settings]
