"""Remainders of multiples, against counting them all."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from hwprm.verification.coverage.residues import leaves


@given(
    st.integers(0, 70),
    st.integers(1, 64),
    st.tuples(st.integers(-40, 40), st.integers(-3, 40)),
    st.tuples(st.integers(0, 63), st.integers(0, 63)),
)
@example(3, 8, (1, 1), (4, 5))
@example(0, 8, (-5, 30), (1, 7))
def test_leaves_is_what_counting_finds(
    factor: int, modulus: int, begin_and_length: tuple[int, int], ends: tuple[int, int]
) -> None:
    low, high = sorted(end % modulus for end in ends)
    first = begin_and_length[0]
    last = first + begin_and_length[1]
    found = any(low <= factor * x % modulus <= high for x in range(first, last + 1))
    assert leaves(factor, modulus, (first, last), (low, high)) == found


def test_numbers_of_a_requantiser_take_no_time() -> None:
    """Half-way of an odd multiplier by 2**40: one sum in 2**40, and which."""
    factor, modulus = 40961, 1 << 40
    half = modulus // 2
    only = half * pow(factor, -1, modulus) % modulus
    assert leaves(factor, modulus, (only, only), (half, half))
    assert not leaves(factor, modulus, (only + 1, only + modulus - 1), (half, half))
