"""Tables behind the requantiser: any function of one number, exact by construction, from one integer to another.

A layer with a table requantises to a *code* of ``bits`` bits, signed or unsigned, instead of to its result. The code's
bits are the address of a word whose bits are the result's::

    result = table[code mod 2**bits]
    table[code mod 2**bits] = clamp(floor(f(code * code_scale) / result_scale + 1/2))

The table holds integers of the result, signed or not, at the places of the codes' bits: first those that are not
negative, in order, then the negative ones where codes are signed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hwprm.core.numerics.rounding import integer_range, quantize

__all__ = ["fill_table", "look_up", "table_codes"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def table_codes(bits: int, signed: bool) -> IntArray:
    """The codes ``(2**bits,)`` in the order of a table: at the place of their bits."""
    places = np.arange(1 << bits)
    low, high = integer_range(bits, signed)
    return np.where(places > high, places + 2 * low, places)


def fill_table(
    function: Callable[[FloatArray], FloatArray],
    codes: IntArray,
    code_scale: float,
    result_scale: float,
    limits: tuple[int, int],
) -> IntArray:
    """The table ``(2**bits,)`` of `function` for `codes` in its order, its integers between `limits`."""
    return quantize(function(codes.astype(np.float64) * np.float64(code_scale)), result_scale, *limits)


def look_up(table: IntArray, codes: IntArray) -> IntArray:
    """The results of `codes`, of any shape."""
    found: IntArray = table[codes & len(table) - 1]
    return found
