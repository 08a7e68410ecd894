"""The program of one layer alone: its descriptors by themselves, list, weight and parameter ROMs as they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwprm.bundle import Bundle
from hwprm.compiler.layout.memory import MemoryPlan, Placement
from hwprm.compiler.layout.schedule import Tile
from hwprm.core.errors import BundleError
from hwprm.core.plain import decode
from hwprm.isa import Hardware, WordFormat, layer_format, store_format, tile_format

__all__ = ["CompiledProgram", "load_program"]

#: Most words of anything, and most descriptors of a kind, in a program that a file claims to hold.
PLAN_MAX, DESCRIPTORS_MAX = 1 << 32, 1 << 22


@dataclass(frozen=True, kw_only=True)
class CompiledProgram:
    """What ``program/program.json`` of a bundle says: parameters, memory plan, and the layer of every filter tile."""

    hardware: Hardware
    plan: MemoryPlan
    tile_layers: tuple[int, ...]

    def isolate(self, mem: Path, layer: int, store: int | None, out: Path) -> None:
        """Fill the new folder `out` with the ROM images of `mem` for `layer` alone, whose results `store` describes.

        The layer's own words fill its ROMs from the start, marked as the last of an image; the layer ROM and the
        store ROM, which the hardware walks by itself, hold nothing else. `store` is None for an output. Raises
        BundleError when a ROM image is cut short or holds no words of its format.
        """
        try:
            self._isolate(mem, layer, store, out)
        except (OSError, ValueError, LookupError) as error:
            raise BundleError(f"{mem}: a ROM image cannot be understood ({error}); emit the bundle again") from error

    def _isolate(self, mem: Path, layer: int, store: int | None, out: Path) -> None:
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
        memory = decode(dict[str, Any], plain["memory"], "memory")
        plan = MemoryPlan(
            banks=decode(int, memory["banks"], "memory.banks"),
            words=decode(int, memory["words"], "memory.words"),
            placements=decode(tuple[Placement, ...], memory["tensors"], "memory.tensors"),
        )
        program = CompiledProgram(
            hardware=decode(Hardware, plain["hardware"], "hardware"),
            plan=plan,
            tile_layers=tuple(tile.layer for tile in decode(tuple[Tile, ...], plain["tiles"], "tiles")),
        )
        _check(program, bundle)
        return program
    except (ValueError, KeyError) as error:
        what = f"{bundle.folder / 'program'} cannot be understood ({error})"
        raise BundleError(f"{what}; emit the bundle again") from error


def _check(program: CompiledProgram, bundle: Bundle) -> None:
    """Raise ValueError where `program` does not fit the manifest of `bundle`."""
    plan, hw, manifest = program.plan, program.hardware, bundle.manifest
    if not (1 <= plan.banks <= PLAN_MAX and 1 <= plan.words <= PLAN_MAX and plan.banks * plan.words <= PLAN_MAX):
        raise ValueError(f"memory: {plan.banks} banks of {plan.words} words")
    numbers = {name: value for name, value in vars(hw).items() if isinstance(value, int)}
    if wrong := [name for name, value in numbers.items() if not -64 <= value <= PLAN_MAX]:
        raise ValueError(f"hardware.{wrong[0]} is {numbers[wrong[0]]}")
    if max(hw.tiles, hw.layers, hw.stores) > DESCRIPTORS_MAX:
        raise ValueError(f"hardware: more than {DESCRIPTORS_MAX} descriptors")
    if set(program.tile_layers) != set(range(len(manifest.layers))):
        raise ValueError("tiles: not every layer has one")
    shapes = {entry.name: entry.shape for entry in manifest.inputs}
    shapes |= {layer.name: layer.shape for layer in manifest.layers if not layer.wide}
    if sorted(place.name for place in plan.placements) != sorted(shapes):
        raise ValueError("memory.tensors: they are not those that the manifest names")
    for place in plan.placements:
        channels, height, width = shapes[place.name]
        last = (channels - 1) * place.channel + (height - 1) * place.pitch + width - 1
        if min(place.base, place.channel, place.pitch) < 0 or place.base * plan.banks + last >= plan.banks * plan.words:
            raise ValueError(f"memory.tensors: {place.name!r} does not fit the memory")
