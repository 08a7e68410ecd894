"""`ProgramRecord`: a compiled program as a bundle keeps it, in ``program.json``, without the contents of its tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from hwprm.compiler.layout.memory import MemoryMap, Placement
from hwprm.compiler.layout.schedule import Tile
from hwprm.compiler.timing.cycles import CycleReport, LayerCycles
from hwprm.core.files import read_json
from hwprm.core.formats import PROGRAM as FORMAT
from hwprm.core.plain import decode
from hwprm.isa import Hardware

__all__ = ["PROGRAM", "ProgramRecord", "RomSize"]

#: Name of the file in the folder that is saved to.
PROGRAM = "program.json"


@dataclass(frozen=True, kw_only=True)
class RomSize:
    """`depth` words of `width` bits of the table called `name`."""

    name: str
    width: int
    depth: int


@dataclass(frozen=True, kw_only=True)
class ProgramRecord:
    """Parameters, memory map, filter tiles and cycles of a program, and where its channels come from."""

    hardware: Hardware
    #: Tensor that each layer number makes.
    layers: tuple[str, ...]
    #: Accumulator bits that each layer needs.
    accumulator_bits: Mapping[str, int]
    memory_map: MemoryMap
    roms: tuple[RomSize, ...]
    tiles: tuple[Tile, ...]
    #: Bits of every memory on the chip.
    onchip_bits: Mapping[str, int]
    cycles: CycleReport
    #: For each tensor of the network that was compiled: the numbers its channels had, in the order they have now.
    kept_channels: Mapping[str, tuple[int, ...]]

    def save(self, folder: Path) -> None:
        """Write ``program.json`` into `folder`. Same record, same bytes."""
        (folder / PROGRAM).write_text(json.dumps(self.as_dict(), indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises OSError where there is no file, ValueError, KeyError or TypeError where it is
        of another version.
        """
        plain = read_json(folder / PROGRAM)
        if (found := plain.get("format")) != FORMAT:
            raise ValueError(f"format {found!r}, this version reads {FORMAT!r}")
        memory, roms = plain["memory"], decode(dict[str, dict[str, int]], plain["roms"], "roms")
        decode(tuple[LayerCycles, ...], plain["cycles"]["layers"], "cycles.layers")
        return cls(
            hardware=decode(Hardware, plain["hardware"], "hardware"),
            layers=decode(tuple[str, ...], plain["layers"], "layers"),
            accumulator_bits=decode(dict[str, int], plain["accumulator_bits"], "accumulator_bits"),
            memory_map=MemoryMap(
                banks=decode(int, memory["banks"], "memory.banks"),
                words=decode(int, memory["words"], "memory.words"),
                placements=decode(tuple[Placement, ...], memory["tensors"], "memory.tensors"),
            ),
            roms=tuple(RomSize(name=name, width=size["width"], depth=size["depth"]) for name, size in roms.items()),
            tiles=decode(tuple[Tile, ...], plain["tiles"], "tiles"),
            onchip_bits=decode(dict[str, int], plain["onchip_bits"], "onchip_bits"),
            cycles=CycleReport.from_dict(plain["cycles"]),
            kept_channels=decode(dict[str, tuple[int, ...]], plain["kept_channels"], "kept_channels"),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "format": FORMAT,
            "design_hash": self.hardware.design_hash,
            "hardware": asdict(self.hardware),
            "layers": list(self.layers),
            "accumulator_bits": dict(self.accumulator_bits),
            "memory": {
                "banks": self.memory_map.banks,
                "words": self.memory_map.words,
                "tensors": [asdict(place) for place in self.memory_map.placements],
            },
            "roms": {
                rom.name: {"width": rom.width, "depth": rom.depth, "bits": rom.width * rom.depth} for rom in self.roms
            },
            "tiles": [asdict(tile) for tile in self.tiles],
            "onchip_bits": dict(self.onchip_bits),
            "cycles": self.cycles.as_dict(),
            "kept_channels": {name: list(numbers) for name, numbers in self.kept_channels.items()},
        }
