"""Weights that are whole multiples of a step already, as those of quantised models are: the step is found in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["found_steps"]

FloatArray = NDArray[np.float64]

#: How far from a whole number, in steps, a multiple may be: models keep steps and products of them in float32.
CLOSE = 1e-3


def found_steps(rows: FloatArray, largest: int) -> FloatArray:
    """For each row ``(M, K)`` the largest step of which all its numbers are whole multiples, up to `largest` of them
    and one more below zero; NaN where there is none, or nothing but zeros.
    """
    steps: FloatArray = np.array([_step(row, largest) for row in rows], np.float64)
    return steps


def _step(row: FloatArray, largest: int) -> float:
    values = np.unique(row[row != 0])
    if not 0 < len(values) <= 2 * largest + 1:
        return float("nan")
    # The distances of numbers on a grid are whole multiples of its step, too, and the smallest one of few.
    levels = np.unique(np.abs(values))
    gaps = np.diff(levels)
    gaps = gaps[gaps > levels[-1] / (4 * largest)]  # less apart are what rounding made of one number
    base = min(float(levels[0]), *(float(gap) for gap in gaps)) if len(gaps) else float(levels[0])
    for parts in range(1, largest + 1):
        step = base / parts
        if levels[-1] > (largest + 1.5) * step:
            return float("nan")  # finer steps make more of them
        count = np.rint(values / step)
        fitted = float((values * count).sum() / (count * count).sum())
        count = np.rint(values / fitted)
        close = np.abs(values / fitted - count).max() < CLOSE
        if close and -largest - 1 <= count.min() and count.max() <= largest:
            return fitted
    return float("nan")
