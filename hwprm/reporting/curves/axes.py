"""Axes of plots: a range that holds the values, and round numbers in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Axis", "axis_of", "counted", "round_step"]

#: Marks that an axis may have, about; and numbers below a plot.
MARKS, COUNTED = 5, 8


@dataclass(frozen=True, kw_only=True)
class Axis:
    """`low` to `high`, and marks between them, ascending; on a logarithmic axis all are above 0."""

    low: float
    high: float
    marks: tuple[float, ...]
    log: bool

    def place(self, value: float) -> float:
        """Share of the axis below `value`."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def axis_of(values: Sequence[float], *, log: bool) -> Axis:
    """An axis that holds `values`, at least one; of a logarithmic one all are above 0."""
    low, high = min(values), max(values)
    if not log:
        step = round_step((high - low) or abs(high) or 1.0)
        first, last = math.floor(low / step), math.ceil(high / step)
        last += first == last
        marks = tuple(i * step for i in range(first, last + 1))
        return Axis(low=marks[0], high=marks[-1], marks=marks, log=False)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    last += first == last
    every = math.ceil((last - first) / MARKS)
    factors = (1, 2, 5) if last - first == 1 else (1,)
    marks = tuple(factor * 10.0**power for power in range(first, last, every) for factor in factors) + (10.0**last,)
    return Axis(low=marks[0], high=marks[-1], marks=marks, log=True)


def counted(last: int) -> range:
    """Round ones of the numbers 1 to `last`, few enough to be written below a plot on a phone."""
    step = max(1, round(round_step(last, COUNTED)))
    return range(step, last + 1, step)


def round_step(span: float, marks: int = MARKS) -> float:
    """1, 2 or 5 times a power of ten, so that `span` is about `marks` of them."""
    rough = span / marks
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
