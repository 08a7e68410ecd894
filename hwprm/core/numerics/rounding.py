"""Rounding and saturation.

There is one rounding rule: to nearest, ties towards plus infinity. In hardware it is one addition of half an
LSB before an arithmetic right shift.

===========  =====  ======
value        shift  result
===========  =====  ======
-3           1      -1
-2           1      -1
-1           1       0
 1           1       1
 3           1       2
 5           2       1
 6           2       2
-6           2      -1
-7           2      -2
===========  =====  ======
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["integer_range", "quantize", "round_half_up", "round_shift", "saturate", "signed_range"]

IntArray = NDArray[np.int64]


def signed_range(bits: int) -> tuple[int, int]:
    """Smallest and largest two's-complement integer of `bits` bits: 8 -> (-128, 127)."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def integer_range(bits: int, signed: bool) -> tuple[int, int]:
    """Smallest and largest integer of `bits` bits: `signed_range`, or unsigned 8 -> (0, 255)."""
    return signed_range(bits) if signed else (0, (1 << bits) - 1)


def round_shift(value: ArrayLike, shift: ArrayLike) -> IntArray:
    """``floor((value + 2**(shift - 1)) / 2**shift)`` in 64-bit integers; `shift` is 1 or more.

    Raises ValueError when a shift is outside 1..62.
    """
    amount = np.asarray(shift, dtype=np.int64)
    if np.any(amount < 1) or np.any(amount > 62):
        raise ValueError(f"shift must be in 1..62, not {int(amount.min())}..{int(amount.max())}")
    half = np.int64(1) << (amount - 1)
    result: IntArray = (np.asarray(value, dtype=np.int64) + half) >> amount
    return result


def saturate(value: ArrayLike, low: int, high: int) -> IntArray:
    """`value` clamped to low..high."""
    return np.clip(np.asarray(value, dtype=np.int64), low, high)


def round_half_up(value: ArrayLike) -> NDArray[np.float64]:
    """Nearest integer of a float, ties towards plus infinity: the same rule as `round_shift`."""
    result: NDArray[np.float64] = np.floor(np.asarray(value, dtype=np.float64) + 0.5)
    return result


def quantize(value: Any, scale: ArrayLike, low: int, high: int) -> IntArray:
    """Real `value` to integers ``round_half_up(value / scale)``, saturated to low..high.

    `scale` broadcasts against `value`. Computed in float64, so that every caller rounds alike.
    """
    scaled = np.asarray(value, dtype=np.float64) / np.asarray(scale, dtype=np.float64)
    return np.clip(round_half_up(scaled), low, high).astype(np.int64)
