"""How many bits a value needs, proven from the actual weights."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hwprm.core.limits import ACC_BITS_MAX

__all__ = [
    "ACC_BITS_MAX",
    "RESIDUAL_BITS_MAX",
    "WIDE_BITS",
    "accumulator_bounds",
    "filter_bounds",
    "product_bounds",
    "signed_width",
]

IntArray = NDArray[np.int64]

#: Widest multiplier of a residual: 8 bits more than the widest activation, see `hwprm.quantization.residuals`.
RESIDUAL_BITS_MAX = 24
#: Width of a network output word.
WIDE_BITS = 32


def signed_width(low: int, high: int) -> int:
    """Bits of the narrowest two's complement that holds every integer of low..high; at least 1.

    (-128, 127) -> 8, (0, 127) -> 8, (0, 128) -> 9, (0, 0) -> 1.
    """
    bits = max(high.bit_length() if high >= 0 else 0, (-low - 1).bit_length() if low < 0 else 0)
    return bits + 1


def filter_bounds(weight: IntArray, x_low: int, x_high: int) -> tuple[IntArray, IntArray]:
    """Smallest and largest sum of products of each filter ``(M,)``, partial sums in any order included.

    weight ``(M, K)``, every activation in x_low..x_high with x_low <= 0 <= x_high: every single term's extreme has the
    sign of its bound.
    """
    total, size = weight.sum(axis=1), np.abs(weight).sum(axis=1)
    positive, negative = (total + size) // 2, (total - size) // 2
    return positive * x_low + negative * x_high, positive * x_high + negative * x_low


def accumulator_bounds(weight: IntArray, bias: IntArray, x_low: int, x_high: int) -> tuple[int, int]:
    """Smallest and largest value that any filter's accumulator takes at any moment, bias added or not.

    bias ``(M,)``, the rest as in `filter_bounds`.
    """
    low, high = filter_bounds(weight, x_low, x_high)
    return (
        int(min((low + np.minimum(bias, 0)).min(initial=0), 0)),
        int(max((high + np.maximum(bias, 0)).max(initial=0), 0)),
    )


def product_bounds(factors: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Smallest and largest product, 0 among them, of factors that lie between these ends.

    [(-128, 127), (0, 255)] -> (-32640, 32385)
    """
    low, high = 1, 1
    for ends in factors:
        found = [one * other for one in (low, high) for other in ends]
        low, high = min(found), max(found)
    return min(low, 0), max(high, 0)
