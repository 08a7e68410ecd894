"""The memory model: exactly how many cycles an image waits for external memory, from latency and bandwidth.

One recurrence over the events of the machine, each a cycle number: a burst is asked for, its beats arrive, a beat is
unpacked, a slot is issued, a row is freed. Every event is the latest of the few that it waits for, plus a latency of
the gateware (`hwprm.isa.latencies`); slots pull beats, beats wait for slots that are long past. Middle pixel tiles find
everything in the rings and are skipped.

What waits for its predecessor and for something that is known, ``t[i] = max(t[i - 1] + step, known[i])``, is computed
for as many events at once as are known: the running maximum of ``known[i] - i * step`` (`_follow`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwprm.compiler.encoding.external import chunks, entry_shape, kept_lists, weight_shape
from hwprm.compiler.layout.schedule import Tile, tiles_by_layer
from hwprm.config import MemoryConfig
from hwprm.isa import Hardware, RowShape
from hwprm.isa.latencies import (
    FIFO_HEAD,
    READER_ASK,
    READER_ROOM,
    ROW_FREED,
    ROW_READY,
    issue_to_weight_address,
)

__all__ = ["ImageTiming", "MemoryModel", "steady_stalls"]

IntArray = NDArray[np.int64]

#: Images after which timing that never repeats is taken as it is.
IMAGES_MAX = 32
#: A start so late that every buffer is full.
LATE = 1 << 40
#: Before any cycle.
NEVER = -1 << 60


@dataclass(frozen=True, kw_only=True)
class ImageTiming:
    """One image: the cycle of every layer's first slot, the stalls of every layer, when the next image may start."""

    starts: tuple[int, ...]
    stalls: tuple[int, ...]
    end: int


class _Log:
    """Cycle numbers of events in the order of their numbers: an array that grows."""

    def __init__(self) -> None:
        self._cycles, self.size = np.empty(1024, dtype=np.int64), 0

    def extend(self, cycles: IntArray) -> None:
        """The next events' cycles."""
        size = self.size + len(cycles)
        if size > len(self._cycles):
            self._cycles = np.concatenate([self._cycles, np.empty(size, dtype=np.int64)])
        self._cycles[self.size : size] = cycles
        self.size = size

    def __getitem__(self, numbers: int | slice) -> IntArray:
        return self._cycles[numbers]


@dataclass(kw_only=True)
class _Ring:
    """Cycle in which each row was complete, and in which its last use was over."""

    shape: RowShape
    rows: int
    #: Where its beats lie among those of an image.
    beats: IntArray
    complete: _Log = field(default_factory=_Log)
    freed: _Log = field(default_factory=_Log)
    first_row: int = 0

    @cached_property
    def image_rows(self) -> int:
        """Rows that an image sends through it."""
        return len(self.beats) // self.shape.beats

    def blocked(self, image: int) -> int | None:
        """Where in that image the first beat lies whose room nothing so far has freed; None where there is none."""
        row = self.freed.size + self.rows - image * self.image_rows
        return int(self.beats[row * self.shape.beats]) if row < self.image_rows else None

    def hold(self, at: IntArray, image: int, first: int) -> slice:
        """Let those of the beats first.. of that image that are the ring's wait for their rooms, with `at` what they
        wait for otherwise; which of the ring's beats those are.

        A beat's room must have been freed by then, or nothing would ever move.
        """
        mine = slice(*np.searchsorted(self.beats, (first, first + len(at))).tolist())
        before = image * self.image_rows - self.rows  # of row r of this image the row that was in its place
        new = max(mine.start, -before * self.shape.beats)
        if new < mine.stop:
            rows = before + np.arange(new, mine.stop) // self.shape.beats
            places = self.beats[new : mine.stop] - first
            at[places] = np.maximum(at[places], self.freed[rows[0] : rows[-1] + 1][rows - rows[0]] + ROW_FREED)
        return mine

    def fill(self, unpacked: IntArray, mine: slice, first: int) -> None:
        """The rows that are complete with the beats `mine` are so when the last beat of each is unpacked."""
        rows = mine.start // self.shape.beats, mine.stop // self.shape.beats
        if rows[0] < rows[1]:
            ends = self.beats[(rows[0] + 1) * self.shape.beats - 1 : mine.stop : self.shape.beats]
            self.complete.extend(unpacked[ends - first])


def _follow(known: IntArray, step: int, before: int) -> IntArray:
    """``t[i] = max(t[i - 1] + step, known[i])`` with ``t[-1] = before``."""
    way = np.arange(len(known)) * step
    result: IntArray = np.maximum(np.maximum.accumulate(known - way), before + step) + way
    return result


class MemoryModel:
    """Images one after the other; `first_accept` is the cycle in which the first burst's address is taken."""

    def __init__(
        self,
        tiles: Sequence[Tile],
        layer_cycles: Sequence[int],
        hw: Hardware,
        memory: MemoryConfig,
        first_accept: int = 0,
    ) -> None:
        external = hw.external
        if external is None:
            raise ValueError("the design reads no external memory")
        self._tiles, self._layer_cycles, self._external = tiles_by_layer(tiles), layer_cycles, external
        self._latency, self._beats, self._cycles = memory.latency, memory.rate.numerator, memory.rate.denominator
        self._cols, self._weight_delay = hw.cols, issue_to_weight_address(hw)
        self._keeps = kept_lists(tiles, hw, external)
        shapes = entry_shape(hw, external), weight_shape(hw, external)
        counts = np.array(
            [
                [shape.rows(words) * shape.beats for shape, words in zip(shapes, chunk.words, strict=True)]
                for chunk in chunks(tiles, hw, external)
            ]
        )
        # A header, beats of entries, beats of weights, and so on; zeros up to the end of a burst.
        whose = np.repeat(np.tile([-1, 0, 1], len(counts)), np.insert(counts, 0, 1, axis=1).reshape(-1))
        self._boot_beats = external.boot_bursts * external.burst_beats
        self._stream_beats = len(whose)
        self._image_beats = len(whose) + -len(whose) % external.burst_beats
        self._entries, self._weights = (
            _Ring(shape=shape, rows=rows, beats=np.flatnonzero(whose == i))
            for i, (shape, rows) in enumerate(zip(shapes, (external.entry_rows, external.weight_rows), strict=True))
        )
        self._images = 0
        self._unpacked = _Log()
        self._asked = first_accept - READER_ASK - 1
        # Beats leave the memory when credit, which grows by `_beats` a cycle up to `_cycles + _beats - 1`, reaches
        # `_cycles`. Cycle and credit are one number: ``cycle * _beats - credit`` with ``0 <= credit < _beats``.
        self._arrived = (first_accept - self._cycles - 1) * self._beats - (self._beats - 1)

    @property
    def unpacked_last(self) -> int:
        """Cycle in which the last beat that any image so far has needed was unpacked."""
        return int(self._unpacked[self._boot_beats + (self._images - 1) * self._image_beats + self._stream_beats - 1])

    def image(self, start: int) -> ImageTiming:
        """The next image, whose first slot may be issued in cycle `start`."""
        starts, stalls = [], []
        self._images += 1
        keeps = iter(self._keeps)
        for tiles, cycles in zip(self._tiles, self._layer_cycles, strict=True):
            starts.append(start)
            at, waited = start, 0
            for tile in tiles:
                after = self._tile(tile, next(keeps), at)
                waited += after - at - tile.cycles
                at = after
            stalls.append(waited)
            start += cycles + waited
        return ImageTiming(starts=tuple(starts), stalls=tuple(stalls), end=start)

    def _tile(self, tile: Tile, keep: bool, at: int) -> int:
        """Issue a tile from cycle `at` on; the first cycle after it."""
        entries, weights = self._entries, self._weights
        once, last_pass = tile.pixel_tiles == 1, tile.busy - tile.length
        ends = [_row_ends(tile.busy, entries.shape.words), last_pass + _row_ends(tile.length, weights.shape.words)]
        slot = 0
        while slot < tile.busy:
            until = self._ready(tile)
            if until <= slot:
                raise RuntimeError("the machine stands still")  # rings are too small for what they have to hold
            issued = _follow(self._waits(tile, slot, until), 1, at - 1)
            at = int(issued[-1]) + 1
            if once:
                freed = [issued[part[(part >= slot) & (part < until)] - slot] for part in ends]
                if not keep:
                    entries.freed.extend(freed[0])
                weights.freed.extend(freed[1] + self._weight_delay)
            slot = until
        if not once:
            at += tile.idle
            at += (tile.pixel_tiles - 2) * (tile.busy + tile.idle)
            if not keep:
                entries.freed.extend(at + ends[0])
            weights.freed.extend(at + ends[1] + self._weight_delay)
            at += tile.busy
        at += tile.idle_last
        weights.first_row += weights.shape.rows(tile.length)
        if not keep:
            entries.first_row += entries.shape.rows(tile.busy)
        return at

    def _ready(self, tile: Tile) -> int:
        """Slots of `tile` whose rows are complete once all is unpacked that has room."""
        entries, weights = self._entries, self._weights
        rows = entries.shape.rows(tile.busy), weights.shape.rows(tile.length)
        while True:
            there = entries.complete.size - entries.first_row, weights.complete.size - weights.first_row
            if there[0] >= rows[0] and there[1] >= rows[1]:
                return tile.busy
            if not self._unpack():
                break
        until = [there[0] * entries.shape.words] if there[0] < rows[0] else []
        until += [there[1] * weights.shape.words] if there[1] < rows[1] else []
        tail = tile.busy - tile.tail(self._cols)
        until += [tail] if tile.residuals and tail >= 0 else []
        return min(until)

    def _waits(self, tile: Tile, slot: int, until: int) -> IntArray:
        """For each slot of ``slot..until - 1`` the first cycle in which what it waits for is there."""
        waits = np.full(until - slot, NEVER)
        for ring, words in ((self._entries, tile.busy), (self._weights, tile.length)):
            size = ring.shape.words
            rows = ring.shape.rows(slot), ring.shape.rows(min(until, words))
            if rows[0] < rows[1]:
                there = ring.complete[ring.first_row + rows[0] : ring.first_row + rows[1]] + ROW_READY
                places = waits[rows[0] * size - slot :: size][: len(there)]
                np.maximum(places, there, out=places)
        tail = tile.busy - tile.tail(self._cols)  # from here on there must be no gap
        if tile.residuals and slot <= tail < until:
            ends = [
                ring.complete[ring.first_row + ring.shape.rows(words) - 1]
                for ring, words in ((self._entries, tile.busy), (self._weights, tile.length))
            ]
            waits[tail - slot] = max(waits[tail - slot], *(int(end) + ROW_READY for end in ends))
        return waits

    def _unpack(self) -> bool:
        """Unpack the next beats, as many as it is known of what they wait for; False where there is none.

        A burst is asked for once the FIFO has room for all of it.
        """
        burst, first = self._external.burst_beats, self._unpacked.size
        ahead = burst - self._external.fifo_beats - 1  # the beat that must have left the FIFO, from a burst's first one
        end = ((first - 1 - ahead) // burst + 1) * burst
        image, place = divmod(first - self._boot_beats, self._image_beats)
        if image < 0:
            end = min(end, self._boot_beats)
        else:
            places = [self._image_beats, self._entries.blocked(image), self._weights.blocked(image)]
            end = min(end, first - place + min(place for place in places if place is not None))
        if end <= first:
            return False
        asked = np.full(end - first, NEVER)
        for start in range(first + -first % burst, end, burst):
            self._asked += 1
            if start + ahead >= 0:
                self._asked = max(self._asked, int(self._unpacked[start + ahead]) + READER_ROOM)
            asked[start - first] = (self._asked + READER_ASK + self._latency - 1) * self._beats + 1
        arrived = _follow(asked, self._cycles, self._arrived)
        self._arrived = int(arrived[-1])
        at = -(-arrived // self._beats) + FIFO_HEAD
        rings = (self._entries, self._weights) if image >= 0 else ()
        mine = [ring.hold(at, image, place) for ring in rings]
        at = _follow(at, 1, int(self._unpacked[first - 1]) if first else NEVER)
        self._unpacked.extend(at)
        for ring, beats in zip(rings, mine, strict=True):
            ring.fill(at, beats, place)
        return True


def _row_ends(words: int, row_words: int) -> IntArray:
    """Of `words` words the last ones of the rows that they fill."""
    ends = np.arange(row_words - 1, words - 1 + row_words, row_words)
    ends[-1] = words - 1
    return ends


def steady_stalls(
    tiles: Sequence[Tile], layer_cycles: Sequence[int], hw: Hardware, memory: MemoryConfig
) -> tuple[int, ...]:
    """Stalls of every layer of an image among images that follow each other without a gap."""
    model = MemoryModel(tiles, layer_cycles, hw, memory)
    image, margin = model.image(LATE), None
    for _ in range(IMAGES_MAX):
        before, image = image, model.image(image.end)
        margin, margin_before = image.end - model.unpacked_last, margin
        if (image.stalls, margin) == (before.stalls, margin_before):  # a lead would still melt
            break
    return image.stalls
