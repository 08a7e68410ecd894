"""Bits of a table that are constant or the same."""

from __future__ import annotations

import numpy as np

from hwprm.compiler.encoding.rom import pack_vectors
from hwprm.isa.word import Field, WordFormat
from hwprm.targets.sizes.columns import Columns

FORM = WordFormat("pair", (Field("a", 4, ""), Field("b", 4, "")))


def test_constant_and_equal_bits() -> None:
    """Of 1, 3, 1 beside 2, 2, 2 only one bit changes; beside 3, 1, 3 it comes twice, the other way round."""
    found = Columns.of(pack_vectors("pairs", np.array([[1, 2], [3, 2], [1, 2]]), 4))
    assert found.first == (-2, 1, -1, -1, -1, -2, -1, -1)
    assert (found.depth, found.width, found.changing, found.different) == (3, 8, 1, 1)
    assert found.fields(FORM, ("b",)) == [-1, -2, -1, -1]
    twice = Columns.of(pack_vectors("pairs", np.array([[1, 1], [3, 3], [1, 1]]), 4))
    assert (twice.first[5], twice.changing, twice.different) == (1, 2, 1)


def test_a_table_of_anything() -> None:
    assert Columns.free(5, 3).first == (0, 1, 2)
