"""The schedule: filter tiles, their column lists and weights, shared lists, idle cycles where stores need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from hwprm.compiler.layout.geometry import LayerGeometry
from hwprm.compiler.layout.lists import Columns, tile_columns, with_residual
from hwprm.compiler.layout.memory import MemoryMap
from hwprm.compiler.layout.rows import stored_rows
from hwprm.config import ArrayConfig
from hwprm.isa.latencies import SPACING

__all__ = ["Schedule", "Tile", "build_schedule", "row_segments", "tiles_by_layer", "with_idle"]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One filter tile of a layer. Counts are plain, not less one."""

    layer: int
    #: Filters first_filter..first_filter + filters - 1 of the layer.
    first_filter: int
    filters: int
    #: Number of the column list, into `Schedule.lists`, and the entries of a pass, guard included.
    list_index: int
    length: int
    #: Entries of the list after which the tile goes on with a tail of its own, list `tail_index`; 0: it has none.
    shared: int
    tail_index: int
    #: Kept columns, without guard and residuals; 1 where there is nothing else to run.
    columns: int
    #: Entries that fetch residuals.
    residuals: int
    passes: int
    pixel_tiles: int
    #: Cycles that each filter's vector takes to be written in the worst pixel tile: one per row that it touches, times
    #: repetitions; of a wide layer one per pixel, since words leave one by one.
    writes: int
    #: The same in the last pixel tile.
    last_writes: int
    #: Cycles after each pixel tile but the last in which nothing is issued: drain and stores of this pixel tile must be
    #: through before the next one ends.
    idle: int = 0
    #: The same after the last pixel tile, behind which comes another filter tile; not waited for at a layer's end.
    idle_last: int = 0

    @property
    def busy(self) -> int:
        """Cycles of one pixel tile that issue entries."""
        return self.length * self.passes

    @property
    def cycles(self) -> int:
        """Cycles of all pixel tiles, up to the first entry of the next filter tile."""
        return (self.busy + self.idle) * self.pixel_tiles - self.idle + self.idle_last


@dataclass(frozen=True, kw_only=True, eq=False)
class Schedule:
    """Tiles in the order they run; `lists` the distinct (layer, columns) pairs; `weights` per tile ``(K, cols)``."""

    tiles: tuple[Tile, ...]
    lists: tuple[tuple[int, Columns], ...]
    weights: tuple[NDArray[np.int64], ...]

    @cached_property
    def by_layer(self) -> tuple[tuple[Tile, ...], ...]:
        """The tiles of each layer, in the order they run."""
        return tiles_by_layer(self.tiles)


def tiles_by_layer(tiles: Sequence[Tile]) -> tuple[tuple[Tile, ...], ...]:
    """`tiles`, in the order they run, cut where a layer ends: every layer has one at least."""
    return tuple(tuple(group) for _, group in groupby(tiles, key=lambda tile: tile.layer))


def build_schedule(geometry: Sequence[LayerGeometry], memory_map: MemoryMap, array: ArrayConfig) -> Schedule:
    """Cut every layer into filter tiles of `array.cols` filters and pixel tiles of `array.rows` pixels."""
    rows, cols = array.rows, array.cols
    tiles: list[Tile] = []
    lists: list[tuple[int, Columns]] = []
    weights: list[NDArray[np.int64]] = []
    for geo in geometry:
        known: dict[bytes, int] = {}
        writes = _writes(geo, memory_map, rows)
        for first in range(0, geo.filters, cols):
            filters = min(cols, geo.filters - first)
            kept = columns = tile_columns(geo, first, first + filters)
            if residual := geo.layer.residual:
                columns = with_residual(kept, residual, len(geo.layer.terms), first, first + filters, cols)
            residuals = int((columns.term == len(geo.layer.terms)).sum())
            shared = max(0, len(columns) - cols) if residuals else 0
            tail = columns.chosen(np.arange(shared, len(columns)))
            pieces = [kept, tail] if shared else [columns, columns]
            for piece in pieces:
                if piece.key not in known:
                    known[piece.key] = len(lists)
                    lists.append((geo.index, piece))
            words = np.zeros((len(columns) + geo.guarded, cols), dtype=np.int64)
            words[: len(columns), :filters] = columns.weight
            weights.append(words)
            tiles.append(
                Tile(
                    layer=geo.index,
                    first_filter=first,
                    filters=filters,
                    list_index=known[pieces[0].key],
                    length=len(words),
                    shared=shared,
                    tail_index=known[pieces[1].key],
                    columns=max(int(columns.weight.any(axis=1).sum()), int(residuals == 0)),
                    residuals=residuals,
                    passes=len(geo.windows),
                    pixel_tiles=geo.pixel_tiles(rows),
                    writes=max(writes),
                    last_writes=writes[-1],
                )
            )
    return Schedule(tiles=with_idle(tiles, SPACING.of(array.pipeline)), lists=tuple(lists), weights=tuple(weights))


def with_idle(tiles: Sequence[Tile], spacing: int) -> tuple[Tile, ...]:
    """`tiles` with their idle cycles, ends of pixel tiles at least `spacing` cycles apart."""
    result = []
    for tile, after in zip(tiles, [*tiles[1:], None], strict=True):
        idle = max(0, max(tile.filters * tile.writes, spacing) - tile.busy)
        if after is None or after.layer != tile.layer:
            idle = idle if tile.pixel_tiles > 1 else 0
            last = idle  # never waited for; like this the tile needs no count of its own for it
        else:
            last = max(0, max(tile.filters * tile.last_writes, spacing) - after.busy)
            idle = idle if tile.pixel_tiles > 1 else last
        result.append(replace(tile, idle=idle, idle_last=last))
    return tuple(result)


def _writes(geo: LayerGeometry, memory_map: MemoryMap, rows: int) -> list[int]:
    """Writes per vector, for each pixel tile."""
    runs = geo.all_pixels // geo.run
    if geo.layer.wide:
        return [min(rows, geo.run - start) for start in range(0, geo.run, rows)] * runs
    times = geo.repeats[0] * geo.repeats[1]
    width = stored_rows(geo, memory_map[geo.layer.name]).width
    return [times * segments for segments in row_segments(geo.run, width, rows)] * runs


def row_segments(pixels: int, width: int, rows: int) -> list[int]:
    """Rows of a `width` wide map that each group of `rows` neighbouring pixels touches."""
    starts = range(0, pixels, rows)
    return [(min(start + rows, pixels) - 1) // width - start // width + 1 for start in starts]
