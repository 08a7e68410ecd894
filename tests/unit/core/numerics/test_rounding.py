"""The rounding rule at every shift, at ties, and at the ends of what the hardware can hold."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprm.core.numerics import ACC_BITS_MAX, MULT_BITS, quantize, round_half_up, round_shift, saturate, signed_range


def exact(value: int, shift: int) -> int:
    """The rule in rational arithmetic: the largest integer not above value / 2**shift + 1/2."""
    return floor(Fraction(value, 1 << shift) + Fraction(1, 2))


@pytest.mark.parametrize("shift", range(1, 48))
def test_every_shift_at_its_ties_and_beside_them(shift: int) -> None:
    half, edge = 1 << (shift - 1), (1 << (ACC_BITS_MAX + MULT_BITS - 1)) - 1
    centres = [k * half for k in range(-9, 10)]
    centres += [edge // half * half, -(edge // half) * half]
    values = [c + d for c in centres for d in (-2, -1, 0, 1, 2)] + [edge, -edge - 1]
    got = round_shift(np.array(values), shift)
    assert got.tolist() == [exact(value, shift) for value in values]


@pytest.mark.parametrize("shift", range(1, 13))
def test_every_value_of_twelve_bits(shift: int) -> None:
    values = np.arange(-(1 << 11), 1 << 11)
    assert round_shift(values, shift).tolist() == [exact(int(value), shift) for value in values]


def test_ties_go_towards_plus_infinity() -> None:
    assert round_shift([-6, -2, 2, 6], 2).tolist() == [-1, 0, 1, 2]


@given(value=st.integers(-(2**61), 2**61), shift=st.integers(1, 62))
def test_any_value(value: int, shift: int) -> None:
    assert int(round_shift(value, shift)) == exact(value, shift)


@given(a=st.integers(-(2**61), 2**61), b=st.integers(-(2**61), 2**61), shift=st.integers(1, 62))
def test_rounding_is_monotone(a: int, b: int, shift: int) -> None:
    low, high = sorted((a, b))
    assert round_shift(low, shift) <= round_shift(high, shift)


def test_shifts_broadcast_over_values() -> None:
    assert round_shift(np.array([[5], [6]]), np.array([1, 2])).tolist() == [[3, 1], [3, 2]]


@pytest.mark.parametrize("shift", [0, 63, -1])
def test_shifts_out_of_range(shift: int) -> None:
    with pytest.raises(ValueError, match=rf"shift must be in 1\.\.62, not {shift}\.\.{shift}"):
        round_shift(1, shift)


@given(value=st.integers(-(2**40), 2**40), shift=st.integers(1, 10))
def test_floats_round_by_the_same_rule(value: int, shift: int) -> None:
    assert int(round_half_up(value / 2**shift)) == exact(value, shift)


@pytest.mark.parametrize(("bits", "low", "high"), [(1, -1, 0), (2, -2, 1), (8, -128, 127), (32, -(2**31), 2**31 - 1)])
def test_signed_range(bits: int, low: int, high: int) -> None:
    assert signed_range(bits) == (low, high)


def test_saturate() -> None:
    assert saturate([-200, -128, 0, 127, 200], -128, 127).tolist() == [-128, -128, 0, 127, 127]


def test_quantise_divides_rounds_and_saturates() -> None:
    assert quantize([-1e30, -0.25, -0.2, 0.25, 0.26, 1e30], 0.5, -8, 7).tolist() == [-8, 0, 0, 1, 1, 7]
    assert quantize([[1.0, 1.0]], np.array([0.5, 0.25]), -8, 7).tolist() == [[2, 4]]
