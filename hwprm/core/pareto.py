"""Which points no other one beats in everything at once; of every value less is better."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["dominates", "pareto_front"]

Values = tuple[float, ...]


def dominates(one: Values, other: Values) -> bool:
    """Whether `one` is nowhere worse than `other`, and better somewhere."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def pareto_front(points: Sequence[Values]) -> list[int]:
    """Indices, ascending, of the `points` that no other one dominates; of equal ones the first."""
    kept: list[tuple[Values, int]] = []
    # What dominates a point stands before it in this order.
    for values, index in sorted((values, i) for i, values in enumerate(points)):
        if not any(values == other or dominates(other, values) for other, _ in kept):
            kept.append((values, index))
    return sorted(index for _, index in kept)
