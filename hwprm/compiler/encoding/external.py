"""The external image: descriptors to be loaded once, then column lists and weights in the order of their use.

A filter tile's list and weights lie in alternating pieces of `ExternalMemory.chunk` columns, so that a tile that is
used once streams through buffers shorter than itself. A list that the tile before has left in its ring is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwprm.compiler.encoding.rom import RomImage
from hwprm.compiler.layout.schedule import Tile
from hwprm.config import ArrayConfig
from hwprm.core.errors import ConfigError
from hwprm.isa import HEADER, TARGETS, ExternalMemory, Hardware, RowShape, entry_format, table_formats

__all__ = [
    "Chunk",
    "ExternalImage",
    "boot_bursts",
    "build_image",
    "chunks",
    "entry_shape",
    "kept_lists",
    "size_rings",
    "weight_shape",
]

ByteArray = NDArray[np.uint8]

#: Columns of a chunk where the rings have room for as many.
CHUNK = 64
#: Most beats behind one header.
RUN = 4096


class Chunk(NamedTuple):
    """Columns ``start..`` of a filter tile behind one header: how many list entries, and how many columns' weights."""

    tile: Tile
    start: int
    words: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class ExternalImage:
    """`data` ``(beats, beat bytes)``, the least significant byte of a beat first."""

    data: ByteArray
    boot_bursts: int
    bursts: int

    @property
    def bytes(self) -> int:
        """Size of the image."""
        return self.data.size


def entry_shape(hw: Hardware, external: ExternalMemory) -> RowShape:
    """How list entries lie in beats."""
    return RowShape.of(entry_format(hw).width, external.beat_bits)


def weight_shape(hw: Hardware, external: ExternalMemory) -> RowShape:
    """How the weights of a column, one per filter of a tile, lie in beats."""
    return RowShape.of(hw.cols * hw.weight_bits, external.beat_bits)


def size_rings(array: ArrayConfig, tiles: Sequence[Tile], layers: Sequence[str], hw: Hardware) -> ExternalMemory:
    """The read master and rings that hold what must stay on the chip, twice as a rule; no bursts counted yet.

    Raises ConfigError when a ring that was asked for is too small.
    """
    plain = ExternalMemory(
        beat_bits=array.axi_data_bits,
        burst_beats=array.axi_burst,
        outstanding=array.axi_outstanding,
        entry_rows=2,
        weight_rows=2,
        chunk=CHUNK,
        boot_bursts=0,
        bursts=0,
    )
    shapes = entry_shape(hw, plain), weight_shape(hw, plain)
    least = max(shape.words for shape in shapes)  # a chunk holds whole rows of both
    lists = {tile: tile.busy for tile in tiles if tile.pixel_tiles > 1}
    weights = {tile: tile.length for tile in tiles if tile.pixel_tiles > 1 or tile.passes > 1}
    # Residual entries wait until the rest of the list is there, behind a row that may hold words before them.
    tails = {tile: min(tile.length, tile.tail(hw.cols) + least) for tile in tiles if tile.residuals}
    lists, weights = {**tails, **lists}, {**tails, **weights}
    asked = array.axi_entry_buffer, array.axi_weight_buffer
    rows = [
        _ring_rows(shape, retained, least, wish, option, layers)
        for shape, retained, wish, option in zip(
            shapes, (lists, weights), asked, ("axi_entry_buffer", "axi_weight_buffer"), strict=True
        )
    ]
    words = min(count * shape.words for count, shape in zip(rows, shapes, strict=True))
    chunk = min(CHUNK, words)
    return replace(plain, entry_rows=rows[0], weight_rows=rows[1], chunk=chunk)


def _ring_rows(
    shape: RowShape, retained: Mapping[Tile, int], least: int, asked: int | None, option: str, layers: Sequence[str]
) -> int:
    """Rows of a ring that keeps each of the `retained` columns, and `least` columns anyway."""
    tile = max(retained, key=lambda tile: retained[tile], default=None)
    needed = retained[tile] if tile else 0
    if asked is not None and asked < needed and tile:
        raise ConfigError(
            f"array.{option} = {asked} is too small: layer {layers[tile.layer]!r} needs {needed} columns at once, for "
            f"its pixel tiles, window positions or residuals; set it to {needed} or more, or leave it out"
        )
    rows = shape.rows(2 * max(needed, CHUNK) if asked is None else max(asked, least))
    return max(2, 1 << (rows - 1).bit_length())


def kept_lists(tiles: Sequence[Tile], hw: Hardware, external: ExternalMemory) -> tuple[bool, ...]:
    """For each tile, whether its column list stays in the ring because the next tile uses the same."""
    room = external.entry_rows * entry_shape(hw, external).words
    lists = [(tile.list_index, tile.tail_index, tile.shared) for tile in tiles]
    following = [*lists[1:], None]
    return tuple(after == mine and tile.busy <= room for tile, mine, after in zip(tiles, lists, following, strict=True))


def build_image(
    tiles: Sequence[Tile], list_base: Sequence[int], roms: Mapping[str, RomImage], hw: Hardware
) -> ExternalImage:
    """The image of `roms`; list i begins at entry list_base[i]. `hw.external` has its rings, not yet its bursts."""
    external = hw.external
    assert external is not None
    boot = [part for name in TARGETS[1:] for part in _table(name, roms[name], external.beat_bits)]
    boot_beats = _padded(boot, external)
    beats = np.concatenate([boot_beats, _padded(list(_stream(tiles, list_base, roms, hw, external)), external)])
    return ExternalImage(
        data=beats,
        boot_bursts=len(boot_beats) // external.burst_beats,
        bursts=len(beats) // external.burst_beats,
    )


def boot_bursts(hw: Hardware, external: ExternalMemory) -> int:
    """Bursts of what is read once: the tables that `build_image` puts first, without their contents."""
    beats = 0
    for form, depth in table_formats(hw).values():
        shape = RowShape.of(form.width, external.beat_bits)
        table = shape.rows(depth) * shape.beats
        beats += table + -(-table // RUN)  # a header for each run
    return -(-beats // external.burst_beats)


def _table(name: str, rom: RomImage, beat_bits: int) -> Iterator[ByteArray]:
    shape = RowShape.of(rom.width, beat_bits)
    beats = _beats(rom.data, shape, beat_bits)
    for start in range(0, len(beats), RUN):
        part = beats[start : start + RUN]
        yield _header(beat_bits, target=TARGETS.index(name), count=len(part), weights=0)
        yield part


def chunks(tiles: Sequence[Tile], hw: Hardware, external: ExternalMemory) -> Iterator[Chunk]:
    """The chunks of an image of these tiles, in the order of the stream."""
    there = False  # the tile's list lies in the ring already
    for tile, keep in zip(tiles, kept_lists(tiles, hw, external), strict=True):
        counts = 0 if there else tile.busy, tile.length
        there = keep
        for start in range(0, max(counts), external.chunk):
            entries, weights = (min(max(count - start, 0), external.chunk) for count in counts)
            yield Chunk(tile, start, (entries, weights))


def _stream(
    tiles: Sequence[Tile], list_base: Sequence[int], roms: Mapping[str, RomImage], hw: Hardware, ext: ExternalMemory
) -> Iterator[ByteArray]:
    shapes = entry_shape(hw, ext), weight_shape(hw, ext)
    first_weight = 0
    for tile, of_tile in groupby(chunks(tiles, hw, ext), key=lambda chunk: chunk.tile):
        tables = (
            _entries_of(tile, list_base, roms["entries"].data),
            roms["weights"].data[first_weight : first_weight + tile.length],
        )
        first_weight += tile.length
        for chunk in of_tile:
            parts = [
                _beats(table[chunk.start : chunk.start + words], shape, ext.beat_bits)
                for table, words, shape in zip(tables, chunk.words, shapes, strict=True)
            ]
            yield _header(ext.beat_bits, target=0, count=len(parts[0]), weights=len(parts[1]))
            yield from parts


def _entries_of(tile: Tile, list_base: Sequence[int], entries: ByteArray) -> ByteArray:
    """The whole list of a tile, its tail included."""
    first, tail = list_base[tile.list_index], list_base[tile.tail_index]
    if not tile.shared:
        return entries[first : first + tile.busy]
    return np.concatenate([entries[first : first + tile.shared], entries[tail : tail + tile.busy - tile.shared]])


def _header(beat_bits: int, **fields: int) -> ByteArray:
    text = HEADER.encode(fields).to_bytes(beat_bits // 8, "little")
    return np.frombuffer(text, np.uint8)[None]


def _beats(words: ByteArray, shape: RowShape, beat_bits: int) -> ByteArray:
    """Words ``(n, bytes)``, most significant byte first, as the beats of their rows."""
    rows = shape.rows(len(words))
    slot = beat_bits // 8 * shape.beats // shape.words
    laid = np.zeros((rows * shape.words, slot), np.uint8)
    laid[: len(words), : words.shape[1]] = words[:, ::-1]
    return laid.reshape(rows * shape.beats, beat_bits // 8)


def _padded(parts: Sequence[ByteArray], external: ExternalMemory) -> ByteArray:
    """`parts` one after the other, zeros up to the end of a burst."""
    beats = np.concatenate(parts)
    missing = -len(beats) % external.burst_beats
    return np.concatenate([beats, np.zeros((missing, external.beat_bytes), np.uint8)])
