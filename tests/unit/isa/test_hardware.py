"""Addresses in mixed radix and the widths that follow from the parameters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.hardware import hardware, inputs


@given(
    banks=st.integers(1, 20),
    words=st.integers(1, 300),
    a=st.integers(-2000, 2000),
    b=st.integers(-2000, 2000),
)
def test_addresses_add_in_mixed_radix(banks, words, a, b):
    """Negative differences wrap, so that address plus difference is the address of the sum."""
    hw = hardware(rows=1, banks=banks, memory_words=words)
    left, right, total = hw.address(a), hw.address(b), hw.address(a + b)
    carry, bank = divmod(left.bank + right.bank, banks)
    assert total.bank == bank
    assert total.word == (left.word + right.word + carry) % (1 << hw.word_bits)


@given(banks=st.integers(1, 20), words=st.integers(1, 300), data=st.data())
def test_every_place_has_one_address(banks, words, data):
    hw = hardware(rows=1, banks=banks, memory_words=words)
    linear = data.draw(st.integers(0, banks * words - 1))
    word, bank = hw.address(linear)
    assert word * banks + bank == linear
    assert word < 1 << hw.word_bits
    assert bank < 1 << hw.bank_bits


@pytest.mark.parametrize(("words", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (1024, 10), (1025, 11)], ids=str)
def test_word_bits(words, bits):
    assert hardware(memory_words=words).word_bits == bits


def test_negative_differences_wrap():
    hw = hardware(rows=3, memory_words=16)
    assert hw.address(-1) == (15, 2)
    assert hw.address(-3) == (15, 0)
    assert hw.address(7) == (2, 1)


@pytest.mark.parametrize(("bits", "size"), [(2, 1), (8, 1), (9, 2), (16, 2)], ids=str)
def test_data_bytes(bits, size):
    assert hardware(act_bits=bits).data_bytes == size


@pytest.mark.parametrize(("cols", "levels"), [(1, 1), (16, 1), (17, 2), (64, 2)], ids=str)
def test_mux_levels(cols, levels):
    assert hardware(cols=cols).mux_levels == levels


def test_input_beats():
    assert hardware(inputs=inputs(3, ((3, 5, 7), 8))).input_beats == 105
    two = hardware(inputs=inputs(3, ((3, 5, 7), 8), ((4, 1, 1), 1)))
    assert (two.input_beats, two.input_words, two.inputs[1].base) == (109, 42, 40)
