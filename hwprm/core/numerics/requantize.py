"""Requantisation: accumulator to activation by an integer multiplier and a right shift.

``requantize(acc, mult, shift, low, high) = saturate(round_shift(acc * mult, shift), low, high)``

with ``0 <= mult < 2**16`` and ``1 <= shift <= 47``. The multiplier is never negative, so requantisation is
monotone and max pooling may come before it. The bias has already been added to `acc`.

Worked table, mult = 40961 and shift = 18 (a factor of 0.15625381...), low = -128, high = 127:

=====  =============  ======================
acc    acc * mult     result
=====  =============  ======================
   3         122883   0   (0.47)
   4         163844   1   (0.63)
  -3        -122883   0   (-0.47)
  -4        -163844   -1  (-0.63)
 100        4096100   16  (15.63)
 819       33547059   127 (127.97, saturated)
-900      -36864900   -128 (-140.6, saturated)
=====  =============  ======================
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwprm.core.numerics.rounding import round_shift, saturate

__all__ = ["MULT_BITS", "SHIFT_MAX", "SHIFT_MIN", "choose_multiplier", "requantize"]

#: Width of the unsigned multiplier.
MULT_BITS = 16
#: Smallest right shift: rounding needs at least one bit to round away.
SHIFT_MIN = 1
#: Largest right shift; smaller factors use a denormal multiplier and end at zero.
SHIFT_MAX = 47


def requantize(acc: ArrayLike, mult: ArrayLike, shift: ArrayLike, low: int, high: int) -> NDArray[np.int64]:
    """Accumulator to output integers, see the module's text. `mult` and `shift` broadcast against `acc`.

    `acc` must fit 47 bits, so that the product fits 63 (`ACC_BITS_MAX` holds that everywhere).
    """
    product = np.asarray(acc, dtype=np.int64) * np.asarray(mult, dtype=np.int64)
    return saturate(round_shift(product, shift), low, high)


def choose_multiplier(factor: float) -> tuple[int, int]:
    """The pair (mult, shift) whose ``mult / 2**shift`` is nearest to the real `factor` (>= 0).

    The multiplier is normalised to 2**15..2**16-1 where the shift allows it.
    Raises ValueError when `factor` is negative, not finite, or too large to be written with a shift of 1.
    """
    if not (math.isfinite(factor) and factor >= 0):
        raise ValueError(f"a requantisation factor must be finite and not negative, not {factor!r}")
    if factor == 0:
        return 0, SHIFT_MIN
    mantissa, exponent = math.frexp(factor)  # factor = mantissa * 2**exponent, mantissa in [0.5, 1)
    shift = min(MULT_BITS - exponent, SHIFT_MAX)
    mult = math.floor(math.ldexp(factor, shift) + 0.5)
    if mult == 1 << MULT_BITS:  # mantissa rounded up to 1.0
        mult, shift = mult >> 1, shift - 1
    if shift < SHIFT_MIN:
        raise ValueError(f"a requantisation factor must be below {2 ** (MULT_BITS - SHIFT_MIN)}, not {factor!r}")
    return mult, shift
