"""Packing of words, against one Python integer per word."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprm.compiler.encoding.rom import RomImage, pack_records, pack_vectors
from hwprm.core.numerics import signed_range
from hwprm.isa import Field, WordFormat
from tests.support.rounds import examples


@examples(60)
@given(st.lists(st.tuples(st.integers(0, 46), st.booleans()), min_size=1, max_size=9), st.integers(0, 5), st.data())
def test_records_are_the_words_of_the_format(sizes, depth, data):
    form = WordFormat("word", tuple(Field(f"f{i}", width, "", signed) for i, (width, signed) in enumerate(sizes)))
    values = {f.name: data.draw(st.lists(st.integers(*f.limits), min_size=depth, max_size=depth)) for f in form.fields}
    rom = pack_records("rom", form, {name: np.array(column, dtype=np.int64) for name, column in values.items()})
    assert (rom.width, rom.depth, rom.bits) == (form.width, depth, depth * form.width)
    assert rom.words() == [form.encode({name: column[i] for name, column in values.items()}) for i in range(depth)]


@examples(60)
@given(st.integers(2, 16), st.integers(1, 9), st.integers(0, 5), st.data())
def test_vectors_lie_element_by_element(bits, n, depth, data):
    element = st.integers(*signed_range(bits))
    rows = data.draw(st.lists(st.lists(element, min_size=n, max_size=n), min_size=depth, max_size=depth))
    rom = pack_vectors("rom", np.array(rows, dtype=np.int64).reshape(depth, n), bits)
    mask = (1 << bits) - 1
    assert rom.words() == [sum((value & mask) << (i * bits) for i, value in enumerate(row)) for row in rows]
    assert rom.width == n * bits


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("depth", [0, 3])
def test_elements_of_whole_bytes(bits, depth):
    low, high = signed_range(bits)
    rows = np.array([[low, -1, 0], [1, high, low], [(1 << bits) - 1, 2, 3]])[:depth]  # unsigned ones as well
    rom = pack_vectors("rom", rows.reshape(depth, 3), bits)
    wanted = [sum((int(value) & (1 << bits) - 1) << (i * bits) for i, value in enumerate(row)) for row in rows]
    assert rom.words() == wanted and rom.data.shape == (depth, 3 * bits // 8) and rom.data.flags.c_contiguous


def test_long_images_are_packed_in_pieces():
    """The bit matrix is made 65,536 words at a time; the seam must not show."""
    rows = np.random.default_rng(0).integers(-8, 8, ((1 << 16) + 3, 2))
    words = np.array(pack_vectors("rom", rows, 4).words())
    assert np.array_equal(words, (rows[:, 0] & 15) + ((rows[:, 1] & 15) << 4))


def _readmemh(text: str) -> list[int]:
    return [int(token, 16) for token in text.split()]


@pytest.mark.parametrize("width", [1, 3, 4, 5, 8, 9, 12, 13, 64, 65, 130])
def test_hex_text_is_what_readmemh_reads(width):
    rng = np.random.default_rng(width)
    words = [int.from_bytes(rng.bytes(20), "big") % (1 << width) for _ in range(5)]
    size = -(-width // 8)
    data = np.array([list(word.to_bytes(size, "big")) for word in words], dtype=np.uint8)
    text = RomImage("rom", width, data).hex_text()
    assert _readmemh(text) == words
    assert {len(line) for line in text.splitlines()} == {-(-width // 4)}
    assert text.endswith("\n")


@pytest.mark.parametrize(
    ("column", "text"),
    [([0, 8], "word.a: 0..8 does not fit 3 bits"), ([-1, 2], "word.a: -1..2 does not fit 3 bits")],
    ids=["high", "low"],
)
def test_values_that_do_not_fit(column, text):
    form = WordFormat("word", (Field("a", 3, ""),))
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        pack_records("rom", form, {"a": np.array(column)})


def test_unknown_field():
    form = WordFormat("word", (Field("a", 3, ""),))
    with pytest.raises(ValueError, match=r"^word needs the fields \['a'\], not \['b'\]$"):
        pack_records("rom", form, {"b": np.array([0])})
