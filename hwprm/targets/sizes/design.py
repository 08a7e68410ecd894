"""A design as its sizes are counted: its `Hardware`, the contents of its tables, its memories, and its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from hwprm.compiler.encoding.rom import RomImage
from hwprm.isa import Hardware
from hwprm.isa.hosts import AXI, Host
from hwprm.isa.registers import ADDRESS_BITS
from hwprm.targets.sizes.columns import Columns
from hwprm.targets.sizes.hosts import PINS
from hwprm.targets.sizes.memories import Contents, Memory, memories

__all__ = ["Design", "in_roms", "levels", "port_bits"]

#: Bits of ports beside the image's data and the addresses of registers; and of the read channels, beside their data.
INPUTS, OUTPUTS, READ_INPUTS, READ_OUTPUTS = 50, 76, 5, 86


@dataclass(frozen=True, eq=False, kw_only=True)
class Design:
    """`cells` is what its arithmetic is written in: ``any``, or those of a family."""

    hardware: Hardware
    contents: Contents
    cells: str = "any"
    host: Host = AXI

    @classmethod
    def of(cls, hardware: Hardware, roms: Sequence[RomImage], cells: str = "any", host: Host = AXI) -> Design:
        """The design with those ROMs, behind `host`. Tables that it reads from an external memory are not looked at."""
        columns = {rom.name: Columns.of(rom) for rom in in_roms(hardware, roms)}
        return cls(hardware=hardware, contents=Contents(hardware, columns), cells=cells, host=host)

    @cached_property
    def memories(self) -> list[Memory]:
        """All of them."""
        return memories(self.hardware, self.contents)

    @property
    def plain(self) -> bool:
        """Whether its arithmetic is written for any target."""
        return self.cells == "any"

    @property
    def busy_columns(self) -> int:
        """Columns of the array that are more than constants behind synthesis."""
        return self.contents.live_columns(self.hardware, plain=self.plain)

    def varying(self, table: str, *names: str) -> int:
        """Bits of the fields of `table` called so that are not constant, of the same ones one where that is known."""
        return self.contents.kept(table, names)

    def used(self, table: str, *names: str) -> bool:
        """Whether a field of `table` called so is not 0 in all words."""
        return self.contents.used(table, names)

    def changing(self, table: str, *names: str) -> int:
        """The same, but of the same ones all."""
        return self.contents.changing(table, names)


def in_roms(hardware: Hardware, roms: Sequence[RomImage]) -> list[RomImage]:
    """Those tables that lie in ROMs: with an external memory only those behind the requantisers."""
    return [rom for rom in roms if not hardware.external or rom.name == "posts"]


def levels(inputs: int) -> int:
    """Of multiplexers of two inputs, for so many."""
    return (inputs - 1).bit_length() if inputs > 1 else 0


def port_bits(hw: Hardware, host: Host = AXI) -> tuple[int, int]:
    """Bits of the inputs and of the outputs of ``hwprm_top``, clock and reset left out."""
    if not host.registers:
        return PINS[host.kind]
    inputs, outputs = 8 * hw.data_bytes + 2 * ADDRESS_BITS + INPUTS, OUTPUTS
    if hw.external:
        inputs, outputs = inputs + hw.external.beat_bits + READ_INPUTS, outputs + READ_OUTPUTS
    return inputs, outputs
