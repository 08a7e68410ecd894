"""Widths against brute force."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprm.core.numerics import ACC_BITS_MAX, MULT_BITS, accumulator_bounds, signed_range, signed_width

small = st.integers(-3, 3)


@pytest.mark.parametrize("low", range(-40, 41))
def test_signed_width_is_the_narrowest(low: int) -> None:
    for high in range(low, 41):
        bits = signed_width(low, high)
        fits = [b for b in range(1, 10) if signed_range(b)[0] <= low and high <= signed_range(b)[1]]
        assert bits == fits[0]


@pytest.mark.parametrize("bits", range(1, 64))
def test_signed_width_of_every_full_range(bits: int) -> None:
    low, high = signed_range(bits)
    assert signed_width(low, high) == bits
    assert signed_width(low - 1, high) == signed_width(low, high + 1) == bits + 1


@given(
    rows=st.lists(st.tuples(st.lists(small, min_size=3, max_size=3), st.integers(-9, 9)), min_size=1, max_size=3),
    x_low=st.integers(-2, 0),
    x_high=st.integers(0, 2),
)
def test_bounds_hold_for_every_input_and_partial_sum_and_are_reached(
    rows: list[tuple[list[int], int]], x_low: int, x_high: int
) -> None:
    """Over all inputs, all orders that add the bias first or last, and all partial sums."""
    weight, bias = np.array([row for row, _ in rows]), np.array([b for _, b in rows])
    low, high = accumulator_bounds(weight, bias, x_low, x_high)
    sums = {0}
    for row, b in rows:
        for xs in product(range(x_low, x_high + 1), repeat=3):
            terms = [w * x for w, x in zip(row, xs, strict=True)]
            for kept in product((0, 1), repeat=3):
                partial = sum(t for t, keep in zip(terms, kept, strict=True) if keep)
                sums |= {partial, partial + b}
    assert (low, high) == (min(sums), max(sums))


def test_the_widest_accumulator_leaves_room_for_the_product_and_its_rounding() -> None:
    low, high = signed_range(ACC_BITS_MAX)
    mult, half = (1 << MULT_BITS) - 1, 1 << 46
    assert signed_width(low * mult, high * mult + half) <= 63
