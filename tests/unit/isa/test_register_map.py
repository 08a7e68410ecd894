"""The register map."""

from __future__ import annotations

import pytest

from hwprm.isa import REGISTERS, register_offset
from hwprm.isa.registers import ADDRESS_BITS, ID_VALUE


def test_offsets_are_unique_aligned_and_in_reach():
    offsets = [register.offset for register in REGISTERS]
    assert len(set(offsets)) == len(offsets) == len({register.name for register in REGISTERS})
    assert all(offset % 4 == 0 and 0 <= offset < 1 << ADDRESS_BITS for offset in offsets)


def test_every_register_has_access_and_sentence():
    assert {register.access for register in REGISTERS} == {"ro", "rw", "w1c", "wo"}
    assert all(register.doc.endswith(".") for register in REGISTERS)


def test_id_spells_the_name():
    assert ID_VALUE.to_bytes(4, "big") == b"HWPR"


def test_offset_by_name():
    assert [register_offset(f"HASH{i}") for i in range(8)] == list(range(0x40, 0x60, 4))
    with pytest.raises(KeyError, match="^'NONE'$"):
        register_offset("NONE")
