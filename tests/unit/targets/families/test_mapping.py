"""Which cells yosys makes memories of, as its logs of drawn designs say."""

from __future__ import annotations

import pytest

from hwprm.targets.families.ecp5.mapping import mapped


@pytest.mark.parametrize(
    ("depth", "width", "luts", "blocks"),
    [(8, 32, 8, 0), (32, 32, 16, 0), (44, 32, 0, 1), (1610, 8, 0, 1), (2414, 32, 0, 5), (5054, 32, 0, 10)],
)
def test_memories_that_are_written(depth: int, width: int, luts: int, blocks: int) -> None:
    found = mapped(depth, width)
    assert (found.luts, found.blocks, found.bits) == (luts, blocks, 0)


@pytest.mark.parametrize(
    ("depth", "width", "blocks"), [(9, 31, 1), (6, 81, 3), (811, 64, 4), (619, 23, 2), (3425, 22, 5), (3472, 32, 7)]
)
def test_tables(depth: int, width: int, blocks: int) -> None:
    assert mapped(depth, width, reads_only=True, block=True).blocks == blocks


def test_memories_read_at_once() -> None:
    assert mapped(12, 20, later=False).luts == 5
    assert mapped(1, 20, later=False).bits == 20  # one word is cheaper in flip-flops


def test_cells_that_nothing_reads() -> None:
    """The 37th bit of a table alone takes a second block; the last two of 98 a LUT RAM."""
    table = mapped(9, 37, reads_only=True, block=True)
    assert (table.blocks, table.without([True] * 36 + [False]).blocks) == (2, 1)
    memory = mapped(2, 98)
    assert (memory.luts, memory.without([True] * 95 + [False] * 3).luts) == (25, 24)
