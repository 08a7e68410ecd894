"""The program of one layer alone: its descriptors by themselves, list, weight and parameter ROMs as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hwprm.bundle import Bundle
from hwprm.compiler.layout.memory import MemoryPlan, Placement
from hwprm.core.errors import BundleError
from hwprm.isa import Hardware, InputGeometry, WordFormat, layer_format, store_format, tile_format

__all__ = ["CompiledProgram", "load_program"]


@dataclass(frozen=True, kw_only=True)
class CompiledProgram:
    """What ``program/program.json`` of a bundle says: parameters, memory plan, and the layer of every filter tile."""

    hardware: Hardware
    plan: MemoryPlan
    tile_layers: tuple[int, ...]

    def isolate(self, mem: Path, layer: int, store: int | None, out: Path) -> None:
        """Fill the new folder `out` with the ROM images of `mem` for `layer` alone, whose results `store` describes.

        The layer's own words fill its ROMs from the start, marked as the last of an image; the layer ROM and the
        store ROM, which the hardware walks by itself, hold nothing else. `store` is None for an output.
        """
        hw = self.hardware
        tiles = [i for i, its in enumerate(self.tile_layers) if its == layer]
        out.mkdir()
        last = _changed(_line(mem, "tiles", tiles[-1]), tile_format(hw), frame_last=1)
        words = [*(_line(mem, "tiles", i) for i in tiles[:-1]), last]
        _write(out, "tiles", words + [last] * (hw.tiles - len(words)))
        same = _changed(_line(mem, "layers", layer), layer_format(hw))
        _write(out, "layers", [same] * hw.layers)
        if store is not None:
            same = _changed(_line(mem, "stores", store), store_format(hw), last=1)
            _write(out, "stores", [same] * hw.stores)
        for path in mem.iterdir():
            if not (out / path.name).exists():
                (out / path.name).symlink_to(path.absolute())


def _line(mem: Path, rom: str, index: int) -> str:
    return (mem / f"{rom}.mem").read_text().split("\n", index + 1)[index]


def _changed(line: str, form: WordFormat, **values: int) -> str:
    """The word on `line` with some of its fields replaced."""
    word = form.encode(form.decode(int(line, 16)) | values)
    return f"{word:0{len(line)}x}"


def _write(out: Path, rom: str, lines: list[str]) -> None:
    (out / f"{rom}.mem").write_text("\n".join(lines) + "\n")


def load_program(bundle: Bundle) -> CompiledProgram:
    """The program of `bundle`. Raises BundleError when it cannot be understood."""
    plain = bundle.program
    try:
        memory = plain["memory"]
        return CompiledProgram(
            hardware=_hardware(plain["hardware"]),
            plan=MemoryPlan(
                banks=memory["banks"],
                words=memory["words"],
                placements=tuple(Placement(**_tuples(entry, Placement)) for entry in memory["tensors"]),
            ),
            tile_layers=tuple(tile["layer"] for tile in plain["tiles"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        what = f"{bundle.folder / 'program'} cannot be understood ({error})"
        raise BundleError(f"{what}; emit the bundle again") from error


def _hardware(plain: Mapping[str, Any]) -> Hardware:
    inputs = tuple(InputGeometry(**_tuples(entry, InputGeometry)) for entry in plain["inputs"])
    return Hardware(**_tuples(plain, Hardware) | {"inputs": inputs})


def _tuples(plain: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """JSON knows lists only; the fields of frozen dataclasses are tuples."""
    known = {field.name for field in fields(kind)}
    if surplus := plain.keys() - known:
        raise ValueError(f"unknown {sorted(surplus)}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
