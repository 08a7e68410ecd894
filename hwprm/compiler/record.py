"""`ProgramRecord`: a compiled program as a bundle keeps it, in ``program.json``, without the contents of its tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from hwprm.compiler.layout.memory import MemoryPlan, Placement
from hwprm.compiler.layout.schedule import Tile
from hwprm.compiler.timing.cycles import CycleReport
from hwprm.isa import ExternalMemory, Hardware, InputGeometry

__all__ = ["PROGRAM", "ProgramRecord", "RomSize"]

#: Name of the file in the folder that is saved to.
PROGRAM = "program.json"

Kind = TypeVar("Kind")


@dataclass(frozen=True, kw_only=True)
class RomSize:
    """`depth` words of `width` bits of the table called `name`."""

    name: str
    width: int
    depth: int


@dataclass(frozen=True, kw_only=True)
class ProgramRecord:
    """Parameters, memory plan, filter tiles and cycles of a program, and where its channels come from."""

    hardware: Hardware
    #: Tensor that each layer number makes.
    layers: tuple[str, ...]
    #: Accumulator bits that each layer needs.
    accumulator_bits: Mapping[str, int]
    plan: MemoryPlan
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
        plain = json.loads((folder / PROGRAM).read_text())
        memory = plain["memory"]
        return cls(
            hardware=_hardware(plain["hardware"]),
            layers=tuple(plain["layers"]),
            accumulator_bits=plain["accumulator_bits"],
            plan=MemoryPlan(
                banks=memory["banks"],
                words=memory["words"],
                placements=tuple(_made(Placement, entry) for entry in memory["tensors"]),
            ),
            roms=tuple(
                RomSize(name=name, width=size["width"], depth=size["depth"]) for name, size in plain["roms"].items()
            ),
            tiles=tuple(_made(Tile, entry) for entry in plain["tiles"]),
            onchip_bits=plain["onchip_bits"],
            cycles=CycleReport.from_dict(plain["cycles"]),
            kept_channels={name: tuple(numbers) for name, numbers in plain["kept_channels"].items()},
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "design_hash": self.hardware.design_hash,
            "hardware": asdict(self.hardware),
            "layers": list(self.layers),
            "accumulator_bits": dict(self.accumulator_bits),
            "memory": {
                "banks": self.plan.banks,
                "words": self.plan.words,
                "tensors": [asdict(place) for place in self.plan.placements],
            },
            "roms": {
                rom.name: {"width": rom.width, "depth": rom.depth, "bits": rom.width * rom.depth} for rom in self.roms
            },
            "tiles": [asdict(tile) for tile in self.tiles],
            "onchip_bits": dict(self.onchip_bits),
            "cycles": self.cycles.as_dict(),
            "kept_channels": {name: list(numbers) for name, numbers in self.kept_channels.items()},
        }


def _hardware(plain: Mapping[str, Any]) -> Hardware:
    inputs = tuple(_made(InputGeometry, entry) for entry in plain["inputs"])
    external = None if plain["external"] is None else _made(ExternalMemory, plain["external"])
    return _made(Hardware, {**plain, "inputs": inputs, "external": external})


def _made(kind: type[Kind], plain: Mapping[str, Any]) -> Kind:
    """An object of the dataclass `kind`. JSON knows lists only; the fields of frozen dataclasses are tuples."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if surplus := plain.keys() - known:
        raise ValueError(f"unknown {sorted(surplus)}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()})
