"""What a target is made of: a family of devices, how it is synthesised, how it is placed, what its cells count as."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwprm.targets.flow.carrier import Carrier
from hwprm.targets.flow.device import Device
from hwprm.targets.flow.runs import Marks

__all__ = ["CROWDED", "Family", "Image", "Placer", "Resource"]

#: Share of a device's multipliers or block RAMs from which on a design is crowded.
CROWDED = 0.9


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One kind of resource: `key` in JSON, `title` in tables, and what each cell of the netlist takes of it.

    `cells` maps a regular expression for the cell's type to a number. With `limited` a device has so many and no more;
    without, the count is told and bounds nothing.
    """

    key: str
    title: str
    cells: Mapping[str, float]
    limited: bool = True

    def used(self, cells: Mapping[str, int]) -> int:
        """How many a netlist with so many cells of each type takes; halves are rounded up."""
        total = sum(
            weight * count
            for pattern, weight in self.cells.items()
            for kind, count in cells.items()
            if re.fullmatch(pattern, kind)
        )
        return -int(-total // 1)


@dataclass(frozen=True, kw_only=True)
class Image:
    """Contents of a ROM: words of `width` bits or fewer."""

    width: int
    words: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Placer:
    """Place and route with nextpnr, and the packer that makes a bitstream of its result."""

    tool: str
    packer: str
    #: Option for pin constraints, option for the placed design, and the name that it gets.
    pins: str
    output: str
    placed: str
    arguments: tuple[str, ...]
    #: Names of the tool's own counts: a resource's key -> a bel of the report.
    utilisation: Mapping[str, str]
    marks: Marks
    #: Arguments more for a design that nearly fills the multipliers or block RAMs, whose places are few and fixed.
    crowded: tuple[str, ...] = ()

    def arguments_for(self, used: Mapping[str, int], device: Device) -> tuple[str, ...]:
        """All arguments but those of the device itself, for a design that takes `used` of it."""
        blocks = (key for key in ("dsp", "bram") if device.available.get(key))
        full = any(used.get(key, 0) >= CROWDED * device.available[key] for key in blocks)
        return self.arguments + (self.crowded if full else ())


@dataclass(frozen=True, kw_only=True)
class Family:
    """A target: one folder in `hwprm/targets/families`, whose ``__init__`` calls this `FAMILY`.

    Verilog files in `rtl` stand in for the bundle's files of the same name: memories, or multipliers, of the vendor. So
    do those that `memories` writes for a design with certain ROM images.
    """

    name: str
    devices: tuple[Device, ...]
    resources: tuple[Resource, ...]
    #: Passes of yosys from the parsed design to a netlist of the family's cells; `top` is its name.
    passes: Callable[[Device, str], Sequence[str]]
    marks: Marks
    rtl: Path | None = None
    memories: Callable[[Mapping[str, Image]], Mapping[str, str]] | None = None
    #: What simulates the family's cells: files that come with yosys, by their paths in its folder of shared files, and
    #: a folder of more; and macros to define for them. Nothing where a netlist cannot be simulated.
    simulated_by: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
    models: Path | None = None
    #: Modules of the bundle that `passes` leave as they are, and a netlist has instances of.
    black_boxes: tuple[str, ...] = ()
    placer: Placer | None = None
    #: What boards with its devices need; None where none is known.
    carrier: Carrier | None = None
    #: Why there is no place and route, and what to do, where there is none.
    unplaced: str = ""
    #: Writes a project for the vendor's own tool into a folder that holds the design's files; None where there is none.
    project: Callable[[Device, Sequence[str], float], Mapping[str, str]] | None = None

    def used(self, cells: Mapping[str, int]) -> dict[str, int]:
        """What so many cells of each type take, by the keys of the resources."""
        return {resource.key: resource.used(cells) for resource in self.resources}

    def unknown(self, cells: Counter[str]) -> list[str]:
        """Types of cells that count as no resource, buffers and bookkeeping left out: a test wants none."""
        patterns = [pattern for resource in self.resources for pattern in resource.cells]
        return sorted(kind for kind in cells if not any(re.fullmatch(pattern, kind) for pattern in patterns))
