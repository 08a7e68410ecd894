"""The model of stalls once more, event by event: what `hwprm.compiler.timing.stalls` computes in bulk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, cycle

from hwprm.compiler.encoding.external import entry_shape, kept_lists, weight_shape
from hwprm.compiler.layout.schedule import Tile, tiles_by_layer
from hwprm.compiler.timing.stalls import ImageTiming
from hwprm.config import MemoryConfig
from hwprm.isa import ExternalMemory, Hardware, RowShape
from hwprm.isa.latencies import (
    FIFO_HEAD,
    READER_ASK,
    READER_ROOM,
    ROW_FREED,
    ROW_READY,
    issue_to_weight_address,
)

__all__ = ["PlainModel"]


@dataclass(kw_only=True)
class _Ring:
    """Cycle in which each row was complete, and in which its last use was over."""

    shape: RowShape
    rows: int
    complete: list[int]
    freed: list[int]
    beats_left: int = 0
    first_row: int = 0

    def push(self, at: int) -> None:
        """A beat came in cycle `at`."""
        self.beats_left = (self.beats_left or self.shape.beats) - 1
        if self.beats_left == 0:
            self.complete.append(at)

    def room_from(self) -> int:
        """First cycle in which the next beat fits; it must have been freed by then, or nothing would ever move."""
        row = len(self.complete) - self.rows
        return self.freed[row] + ROW_FREED if row >= 0 else 0


class PlainModel:
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
        self._entries = _Ring(shape=entry_shape(hw, external), rows=external.entry_rows, complete=[], freed=[])
        self._weights = _Ring(shape=weight_shape(hw, external), rows=external.weight_rows, complete=[], freed=[])
        self._stream = self._targets(external)
        self._unpacked: list[int] = []
        self._asked = first_accept - READER_ASK - 1
        self._ready = 0
        self._arrived, self._credit = first_accept - self._cycles - 1, self._beats - 1

    @property
    def unpacked_last(self) -> int:
        """Cycle in which the last beat that any image so far has needed was unpacked."""
        return self._unpacked[-1]

    def image(self, start: int) -> ImageTiming:
        """The next image, whose first slot may be issued in cycle `start`."""
        starts, stalls = [], []
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
        entry_words, weight_words = entries.shape.words, weights.shape.words
        last, last_pass = tile.busy - 1, tile.busy - tile.length
        once = tile.pixel_tiles == 1
        tail = tile.busy - self._cols * (1 + tile.gated) if tile.residuals else None  # from here on without a gap
        for slot in range(tile.busy):
            if slot % entry_words == 0:
                there = self._complete(entries, entries.first_row + slot // entry_words) + ROW_READY
                at = there if there > at else at
            if slot < tile.length and slot % weight_words == 0:
                there = self._complete(weights, weights.first_row + slot // weight_words) + ROW_READY
                at = there if there > at else at
            if slot == tail:
                ends = entries.first_row + last // entry_words, weights.first_row + (tile.length - 1) // weight_words
                there = max(self._complete(entries, ends[0]), self._complete(weights, ends[1])) + ROW_READY
                at = there if there > at else at
            if once and not keep and (slot % entry_words == entry_words - 1 or slot == last):
                entries.freed.append(at)
            if once and slot >= last_pass and ((slot - last_pass + 1) % weight_words == 0 or slot == last):
                weights.freed.append(at + self._weight_delay)
            at += 1
        if not once:
            at += tile.idle
            at += (tile.pixel_tiles - 2) * (tile.busy + tile.idle)
            if not keep:
                entries.freed += _row_ends(at, tile.busy, entry_words)
            weights.freed += _row_ends(at + last_pass + self._weight_delay, tile.length, weight_words)
            at += tile.busy
        at += tile.idle_last
        weights.first_row += weights.shape.rows(tile.length)
        if not keep:
            entries.first_row += entries.shape.rows(tile.busy)
        return at

    def _complete(self, ring: _Ring, row: int) -> int:
        """Cycle in which `row` of `ring` is complete; unpacks the stream up to there."""
        complete = ring.complete
        while len(complete) <= row:
            target = next(self._stream)
            at = self._next_beat()
            if target is not None:
                room = target.room_from()
                at = room if room > at else at
                target.push(at)
            self._unpacked.append(at)
        return complete[row]

    def _next_beat(self) -> int:
        """First cycle in which the next beat can be unpacked, room in its ring apart.

        A beat leaves the memory when credit, which grows by `_beats` a cycle, reaches `_cycles`.
        """
        unpacked = self._unpacked
        if len(unpacked) % self._external.burst_beats == 0:
            self._ask(len(unpacked))
        beats, cycles = self._beats, self._cycles
        at = self._arrived - (self._credit - cycles) // beats  # rounded up
        if at < self._ready:
            at = self._ready
        self._credit = min(self._credit + (at - self._arrived) * beats, cycles + beats - 1) - cycles
        self._arrived = at
        at += FIFO_HEAD
        return unpacked[-1] + 1 if unpacked and unpacked[-1] >= at else at

    def _ask(self, beat: int) -> None:
        """The burst that begins with number `beat` is asked for, once the FIFO has room for all of it."""
        self._asked += 1
        popped = beat + self._external.burst_beats - self._external.fifo_beats - 1
        if popped >= 0:
            self._asked = max(self._asked, self._unpacked[popped] + READER_ROOM)
        self._ready = self._asked + READER_ASK + self._latency

    def _targets(self, external: ExternalMemory) -> Iterator[_Ring | None]:
        """The ring that each beat goes to, None for a header, padding or a table."""
        for _ in range(external.boot_bursts * external.burst_beats):
            yield None
        beats = list(self._image_targets())
        beats += [None] * (-len(beats) % external.burst_beats)
        yield from cycle(beats)

    def _image_targets(self) -> Iterator[_Ring | None]:
        chunk, there = self._external.chunk, False
        for tile, keep in zip(chain.from_iterable(self._tiles), self._keeps, strict=True):
            counts = [(self._entries, 0 if there else tile.busy), (self._weights, tile.length)]
            there = keep
            for start in range(0, max(count for _, count in counts), chunk):
                yield None
                for ring, count in counts:
                    words = min(max(count - start, 0), chunk)
                    yield from [ring] * (ring.shape.rows(words) * ring.shape.beats)


def _row_ends(start: int, words: int, row_words: int) -> list[int]:
    """Cycles that issue the last word of each row, of `words` words issued from cycle `start` on."""
    return [*range(start + row_words - 1, start + words - 1, row_words), start + words - 1]
