"""The program of one layer alone: its descriptors by themselves, list, weight and parameter ROMs as they are."""

from __future__ import annotations

from pathlib import Path

from hwprm.compiler import ProgramRecord
from hwprm.core.errors import BundleError
from hwprm.isa import WordFormat, layer_format, store_format, tile_format

__all__ = ["isolate"]


def isolate(program: ProgramRecord, mem: Path, layer: int, store: int | None, out: Path) -> None:
    """Fill the new folder `out` with the ROM images of `mem` for `layer` alone, whose results `store` describes.

    The layer's own words fill its ROMs from the start, marked as the last of an image; the layer ROM and the
    store ROM, which the hardware walks by itself, hold nothing else. `store` is None for an output. Raises BundleError
    when a ROM image is cut short or holds no words of its format.
    """
    try:
        _isolate(program, mem, layer, store, out)
    except (OSError, ValueError, LookupError) as error:
        raise BundleError(f"{mem}: a ROM image cannot be understood ({error}); emit the bundle again") from error


def _isolate(program: ProgramRecord, mem: Path, layer: int, store: int | None, out: Path) -> None:
    hw = program.hardware
    tiles = [i for i, tile in enumerate(program.tiles) if tile.layer == layer]
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
