"""Memories of a design, and what nothing reads of its tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.isa import Hardware, tile_format
from hwprm.targets.sizes.columns import Columns
from hwprm.targets.sizes.memories import Contents, Memory, memories
from hwprm.targets.sizes.registers import registers
from tests.support.random_networks import random_products


def _tiles(*, shared: bool, changing: int) -> tuple[Hardware, Contents]:
    """A design with so many `changing` bits of a tile's word, all those of its tail's base; `shared`: entries are."""
    program = compile_network(random_products(1), ArrayConfig(rows=3, cols=2))
    hardware = program.hardware
    columns = {rom.name: Columns.of(rom) for rom in program.roms}
    form, first, at = tile_format(hardware), [], 0
    left = changing - next(field.width for field in form.fields if field.name == "tail_base") - shared
    for field in form.fields:
        for k in range(field.width):
            live = field.name == "tail_base" or (field.name == "shared" and shared and not k)
            if field.name not in ("tail_base", "shared") and left > 0:
                live, left = True, left - 1
            first.append(at if live else -1)
            at += 1
    assert sum(bit >= 0 for bit in first) == changing
    columns["tiles"] = Columns(40, tuple(first))
    return hardware, Contents(hardware, columns)


def _rom(hardware: Hardware, contents: Contents) -> Memory:
    return next(memory for memory in memories(hardware, contents) if memory.name == "rom_tiles")


def test_a_tail_is_read_where_entries_are_shared() -> None:
    """Without any the sequencer never goes on at one, and a block that holds nothing else is left out."""
    assert [_tiles(shared=shared, changing=20)[1].unread("tiles") for shared in (True, False)] == [set(), {"tail_base"}]
    sizes = range(21, 45)
    blocks = {
        shared: [_rom(*_tiles(shared=shared, changing=n)).cells.blocks for n in sizes] for shared in (True, False)
    }
    assert blocks[True] >= blocks[False]
    assert blocks[True] != blocks[False]


def test_registers_of_a_tail() -> None:
    found = {}
    for shared in (True, False):
        hardware, contents = _tiles(shared=shared, changing=20)
        found[shared] = registers(hardware, contents, "any")["sequencer"]
    form = tile_format(hardware)
    base = next(field.width for field in form.fields if field.name == "tail_base")
    # One of the other bits changes in the place of the shared entries' one.
    assert found[True] - found[False] == base


@pytest.mark.parametrize("residual_bits", [0, 1])
def test_tails_are_of_designs_with_residuals(residual_bits: int) -> None:
    hardware, contents = _tiles(shared=False, changing=20)
    made = Contents(replace(hardware, residual_bits=residual_bits), contents.columns)
    assert made.unread("tiles") == ({"tail_base"} if residual_bits else set())
