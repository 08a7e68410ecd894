"""Requantisation against rational arithmetic, and the choice of multiplier."""

from fractions import Fraction
from itertools import product
from math import floor, inf, nan

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hwprm.core.numerics import (
    ACC_BITS_MAX,
    MULT_BITS,
    SHIFT_MAX,
    SHIFT_MIN,
    choose_multiplier,
    requantize,
    signed_range,
)

ACC_LOW, ACC_HIGH = signed_range(ACC_BITS_MAX)
MULT_HIGH = (1 << MULT_BITS) - 1


def exact(acc: int, mult: int, shift: int, low: int, high: int) -> int:
    return min(max(floor(Fraction(acc * mult, 1 << shift) + Fraction(1, 2)), low), high)


@pytest.mark.parametrize("shift", range(SHIFT_MIN, SHIFT_MAX + 1))
def test_every_shift_at_the_extremes(shift: int) -> None:
    powers = [1 << k for k in range(0, ACC_BITS_MAX - 1, 5)]
    accs = [
        ACC_LOW,
        ACC_LOW + 1,
        ACC_HIGH - 1,
        ACC_HIGH,
        0,
        *(s * p + d for p in powers for s in (1, -1) for d in (-1, 0, 1)),
    ]
    mults = [0, 1, 2, 3, 1 << 14, (1 << 15) - 1, 1 << 15, (1 << 15) + 1, MULT_HIGH - 1, MULT_HIGH]
    cases = list(product(accs, mults))
    acc, mult = np.array(cases, dtype=np.int64).T
    for low, high in ((-128, 127), (0, 127), signed_range(32), (0, 1)):
        expected = [exact(a, m, shift, low, high) for a, m in cases]
        assert requantize(acc, mult, shift, low, high).tolist() == expected


@pytest.mark.parametrize("shift", range(SHIFT_MIN, SHIFT_MAX + 1))
def test_exact_ties_of_every_shift(shift: int) -> None:
    """Accumulators whose product is an odd multiple of half an output step."""
    for power in range(max(0, shift - 1 - 44), min(15, shift - 1) + 1):
        step = 1 << (shift - 1 - power)
        acc = np.array([odd * step for odd in range(-9, 10, 2) if ACC_LOW <= odd * step <= ACC_HIGH])
        got = requantize(acc, 1 << power, shift, *signed_range(32))
        assert got.tolist() == [(int(a) // step + 1) // 2 for a in acc]


@given(
    acc=st.integers(ACC_LOW, ACC_HIGH),
    mult=st.integers(0, MULT_HIGH),
    shift=st.integers(SHIFT_MIN, SHIFT_MAX),
    bits=st.integers(2, 32),
    relu=st.booleans(),
)
def test_any_values(acc: int, mult: int, shift: int, bits: int, relu: bool) -> None:
    low, high = signed_range(bits)
    low = 0 if relu else low
    assert int(requantize(acc, mult, shift, low, high)) == exact(acc, mult, shift, low, high)


@given(
    accs=st.lists(st.integers(ACC_LOW, ACC_HIGH), min_size=1, max_size=9),
    mult=st.integers(0, MULT_HIGH),
    shift=st.integers(SHIFT_MIN, SHIFT_MAX),
)
def test_pooling_before_is_pooling_after(accs: list[int], mult: int, shift: int) -> None:
    assert requantize(max(accs), mult, shift, -128, 127) == requantize(accs, mult, shift, -128, 127).max()


@given(acc=st.integers(-(2**31), 2**31 - 1))
def test_the_identity_is_exact(acc: int) -> None:
    assert int(requantize(acc, 1 << 15, 15, *signed_range(32))) == acc


@given(factor=st.floats(0, 2**15 - 1, exclude_min=True))
@example(factor=1.0)
@example(factor=1 - 2**-53)
@example(factor=2.0**-32)
@example(factor=2.0**-48)
@example(factor=5e-324)
def test_the_multiplier_is_the_nearest(factor: float) -> None:
    mult, shift = choose_multiplier(factor)
    assert 0 <= mult <= MULT_HIGH and SHIFT_MIN <= shift <= SHIFT_MAX
    error = abs(Fraction(factor) - Fraction(mult, 1 << shift))
    assert error <= Fraction(1, 1 << (shift + 1)) or error <= Fraction(factor) / (1 << MULT_BITS)
    for other in (mult - 1, mult + 1):
        assert error <= abs(Fraction(factor) - Fraction(other, 1 << shift))
    if factor >= 2.0**-32:
        assert mult >= 1 << (MULT_BITS - 1)
        assert error <= Fraction(factor) / (1 << MULT_BITS)


@pytest.mark.parametrize("exponent", range(-32, 15))
def test_powers_of_two_are_exact(exponent: int) -> None:
    mult, shift = choose_multiplier(2.0**exponent)
    assert mult == 1 << (MULT_BITS - 1) and shift == MULT_BITS - 1 - exponent


def test_a_mantissa_that_rounds_up_to_one_keeps_sixteen_bits() -> None:
    assert choose_multiplier(1 - 2**-30) == (1 << 15, 15)


def test_zero() -> None:
    assert choose_multiplier(0.0) == (0, SHIFT_MIN)


@pytest.mark.parametrize("factor", [-1.0, nan, inf, -inf])
def test_factors_that_are_none(factor: float) -> None:
    with pytest.raises(ValueError, match="must be finite and not negative"):
        choose_multiplier(factor)


@pytest.mark.parametrize("factor", [2.0**15, 2.0**15 - 2**-3, 1e300])
def test_factors_too_large(factor: float) -> None:
    with pytest.raises(ValueError, match=r"must be below 32768, not"):
        choose_multiplier(factor)
