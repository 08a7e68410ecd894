"""The schedule: filter tiles, their column lists and weights, shared lists, idle cycles where stores need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from hwprm.compiler.layout.geometry import LayerGeometry, layer_geometry, with_phases
from hwprm.compiler.layout.lists import Columns, tile_columns, with_residual
from hwprm.compiler.layout.memory import MemoryMap
from hwprm.compiler.layout.rows import stored_rows
from hwprm.config import ArrayConfig
from hwprm.core.memo import kept
from hwprm.intnet import IntegerNetwork
from hwprm.isa.latencies import SPACING

__all__ = [
    "Cuts",
    "Schedule",
    "Tile",
    "build_schedule",
    "pixel_tile_writes",
    "row_segments",
    "tiles_by_layer",
    "with_idle",
]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One filter tile of a layer. Counts are plain, not less one."""

    layer: int
    #: Filters first_filter..first_filter + filters - 1 of the layer, as the array counts them: phase by phase.
    first_filter: int
    filters: int
    #: Number of the column list, into `Schedule.lists`, and the entries of a pass, guard included.
    list_index: int
    length: int
    #: Words that are added to every entry of the list: tiles that differ by their channels alone share one.
    base: int = 0
    #: Entries of the list after which the tile goes on with a tail of its own, list `tail_index`; 0: it has none.
    shared: int
    tail_index: int
    #: Kept columns, without guard and residuals; 1 where there is nothing else to run.
    columns: int
    #: Entries that fetch residuals and their gates.
    residuals: int
    #: Whether residuals have gates, which stand as many places before them as the array has columns.
    gated: bool = False
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

    def tail(self, cols: int) -> int:
        """Entries at the list's end, for an array of `cols` columns, among which those of residuals and gates stand."""
        return (cols << self.gated) if self.residuals else 0

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """A filter tile's columns, before and after those of its residual are among them: wherever tensors lie."""

    first: int
    filters: int
    kept: Columns
    columns: Columns
    #: The columns' weights ``(K, cols)``, the guard's among them.
    words: NDArray[np.int64]
    #: Number of the layer's last term, and whether its residual has a gate.
    last_term: int
    gated: bool

    def pieces(self, cols: int) -> tuple[int, tuple[Columns, ...]]:
        """For an array of `cols` columns: entries that other tiles may share with this one, 0 where there is nothing
        else, and its list, or what is shared and the tail of its own behind that.
        """
        shared = max(0, len(self.columns) - (cols << self.gated)) if self.residuals else 0
        return shared, (self.kept, self.tail(shared)) if shared else (self.columns,)

    def tail(self, shared: int) -> Columns:
        """The columns from number `shared` on."""
        return kept(self, ("tail", shared), lambda: self.columns.chosen(np.arange(shared, len(self.columns))))

    @cached_property
    def used(self) -> int:
        """Columns with a weight that is not zero."""
        return int(self.columns.weight.any(axis=1).sum())

    @cached_property
    def residuals(self) -> int:
        """Entries that fetch residuals and their gates."""
        return int((self.columns.term > self.last_term).sum())


class Cuts:
    """Layers cut into filter tiles for one array, each once for each number of phases that is asked for."""

    def __init__(self, array: ArrayConfig) -> None:
        self._cols, self._batch = array.cols, array.batch
        self._made: dict[tuple[int, int], tuple[Cut, ...]] = {}
        self._geometry: dict[tuple[int, int], LayerGeometry] = {}

    def geometry(self, net: IntegerNetwork, index: int, phases: int = 1) -> LayerGeometry:
        """Geometry of layer `index` of `net`, no pixel tile of which ends with an image yet."""
        if (index, phases) not in self._geometry:
            plain = layer_geometry(net, index, self._batch) if phases == 1 else self.geometry(net, index)
            self._geometry[index, phases] = with_phases(net, plain, phases)
        return self._geometry[index, phases]

    def of(self, geo: LayerGeometry) -> tuple[Cut, ...]:
        """The filter tiles of a layer, of up to `array.cols` filters."""
        if (geo.index, geo.phases) not in self._made:
            size = geo.tile_filters(self._cols)
            self._made[geo.index, geo.phases] = tuple(
                self._cut(geo, first, min(first + size, geo.filters)) for first in range(0, geo.filters, size)
            )
        return self._made[geo.index, geo.phases]

    def _cut(self, geo: LayerGeometry, first: int, last: int) -> Cut:
        own = tile_columns(geo, first, last)
        columns = with_residual(own, geo, first, last, self._cols)
        words = np.zeros((len(columns) + geo.guarded, self._cols), dtype=np.int64)
        words[: len(columns), : last - first] = columns.weight
        return Cut(
            first=first,
            filters=last - first,
            kept=own,
            columns=columns,
            words=words,
            last_term=len(geo.layer.terms) - 1,
            gated=geo.layer.residual is not None and geo.layer.residual.gate is not None,
        )


def build_schedule(
    geometry: Sequence[LayerGeometry], memory_map: MemoryMap, array: ArrayConfig, cuts: Cuts | None = None
) -> Schedule:
    """Cut every layer into filter tiles of up to `array.cols` filters and pixel tiles of `array.rows` pixels.

    `cuts` are those that were made for the same layers before.
    """
    cuts = cuts or Cuts(array)
    tiles: list[Tile] = []
    lists: list[tuple[int, Columns]] = []
    weights: list[NDArray[np.int64]] = []
    for geo in geometry:
        known: dict[bytes, int] = {}
        writes = pixel_tile_writes(geo, memory_map, array.rows)
        most = max(writes)
        for cut in cuts.of(geo):
            shared, pieces = cut.pieces(array.cols)
            channel = memory_map.first_channel(geo, cut.first)
            numbers = []
            for piece in (piece.counted_from(channel) for piece in pieces):
                numbers.append(known.setdefault(piece.key, len(lists)))
                if numbers[-1] == len(lists):
                    lists.append((geo.index, piece))
            weights.append(cut.words)
            tiles.append(
                Tile(
                    layer=geo.index,
                    first_filter=cut.first,
                    filters=cut.filters,
                    list_index=numbers[0],
                    base=memory_map.distance(geo.layer.terms[0].source, channel),
                    length=len(cut.words),
                    shared=shared,
                    tail_index=numbers[-1],
                    columns=max(cut.used, int(cut.residuals == 0)),
                    residuals=cut.residuals,
                    gated=cut.gated,
                    passes=len(geo.windows),
                    pixel_tiles=geo.pixel_tiles(array.rows),
                    writes=most,
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
        same = (tile.idle, tile.idle_last) == (idle, last)
        result.append(tile if same else replace(tile, idle=idle, idle_last=last))
    return tuple(result)


def pixel_tile_writes(geo: LayerGeometry, memory_map: MemoryMap, rows: int) -> list[int]:
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
