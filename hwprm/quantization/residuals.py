"""Accumulator steps with which residuals join without rounding. See docs/numerics.md, section 9. numpy only.

A residual of scale s_r joins accumulators of scale s_acc[m] through the multiplier ``s_r / s_acc[m]``. The scale of a
filter's weights is free, so it is made a little coarser until that ratio is an integer: nothing is rounded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["silent_step", "too_coarse", "whole_steps"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: Bits of the widest multiplier beyond an activation's: accumulator steps that are finer still say nothing more.
EXTRA_BITS = 8
#: Smallest multiplier: the rounding down to an integer makes a filter's weight steps half as large again, at most.
FEWEST = 2


def silent_step(act_bits: int) -> float:
    """Accumulator step, in steps of the residual, of a layer without weights."""
    return 2.0**-act_bits


def too_coarse(residual: float, scales: FloatArray) -> bool:
    """Whether some accumulator step of `scales` ``(M,)`` is too large for a residual of scale `residual`."""
    return bool((scales * FEWEST > residual).any())


def whole_steps(residual: float, scales: FloatArray, act_bits: int) -> IntArray:
    """The multipliers ``(M,)``: how many accumulator steps, none finer than `scales`, make a step of the residual."""
    most = (1 << (act_bits + EXTRA_BITS)) - 1
    return np.clip(np.floor(residual / scales), 1, most).astype(np.int64)
