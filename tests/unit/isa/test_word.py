"""Words of named bit fields."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprm.isa import Field, WordFormat, entry_format, layer_format, param_format, store_format, tile_format
from tests.support.hardware import hardware


@st.composite
def formats_with_values(draw):
    sizes = draw(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=8))
    fields = tuple(Field(f"f{i}", width, "", signed) for i, (width, signed) in enumerate(sizes))
    values = {}
    for f in fields:
        half = 1 << f.width >> 1
        low, high = (-half, half - 1 if f.width else 0) if f.signed else (0, (1 << f.width) - 1)
        values[f.name] = draw(st.integers(low, high))
    return WordFormat("word", fields), values


@given(formats_with_values())
def test_round_trip(case):
    form, values = case
    word = form.encode(values)
    assert 0 <= word < 1 << form.width
    assert form.decode(word) == values


@given(formats_with_values())
def test_fields_lie_from_the_least_significant_bit_upwards(case):
    form, values = case
    text = "".join(
        format(values[f.name] % (1 << f.width), f"0{f.width}b") if f.width else "" for f in reversed(form.fields)
    )
    assert form.encode(values) == int(text or "0", 2)


FORM = WordFormat("demo", (Field("a", 3, "A."), Field("b", 4, "B.", signed=True)))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"a": 8, "b": 0}, "demo.a = 8 does not fit 3 bits (0..7)"),
        ({"a": -1, "b": 0}, "demo.a = -1 does not fit 3 bits (0..7)"),
        ({"a": 0, "b": 8}, "demo.b = 8 does not fit 4 bits (-8..7)"),
        ({"a": 0, "b": -9}, "demo.b = -9 does not fit 4 bits (-8..7)"),
        ({"a": 0}, "demo needs the fields ['a', 'b'], not ['a']"),
        ({"a": 0, "b": 0, "c": 0}, "demo needs the fields ['a', 'b'], not ['a', 'b', 'c']"),
    ],
    ids=["high", "negative", "signed-high", "signed-low", "missing", "unknown"],
)
def test_refusals(values, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        FORM.encode(values)


def test_a_word_has_at_least_one_bit():
    assert WordFormat("empty", (Field("none", 0, "Nothing."),)).width == 1
    assert FORM.width == 7


@pytest.mark.parametrize("make", [entry_format, layer_format, param_format, store_format, tile_format])
def test_every_format_names_its_fields_once_and_says_what_they_are(make):
    form = make(hardware())
    names = [f.name for f in form.fields]
    assert len(set(names)) == len(names)
    assert all(f.doc.endswith(".") and f.width >= 1 for f in form.fields)
    extremes = {f.name: (1 << f.width >> 1) - 1 if f.signed else (1 << f.width) - 1 for f in form.fields}
    assert form.decode(form.encode(extremes)) == extremes
