"""Which layers run with column phases, and on how many banks: by exact cycles of the whole network.

With P phases, P neighbouring pixels of a row are filters of their own (`hwprm.compiler.layout.geometry`): the array has
P times as many filters and a P-th of the pixels, and a filter tile lists the columns of kernels one step apart, few
more than those of one. Layers whose filters share few columns gain, depthwise ones above all, and tiles that leave
columns of the array idle.

Layers lie on common banks: P has to be coprime with their number. What a layer takes hangs on its own phases and on the
pitches of its tensors, which hang on the number of banks alone. So for each number of banks every layer chooses for
itself, and then the numbers are compared by what the whole network takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import gcd

import numpy as np

from hwprm.compiler.encoding.external import size_rings
from hwprm.compiler.layout.geometry import LayerGeometry, can_phase, inner_taps
from hwprm.compiler.layout.layout import Layout, lay_out
from hwprm.compiler.layout.memory import MemoryMap, map_memory
from hwprm.compiler.layout.schedule import Cuts, Tile, build_schedule, pixel_tile_writes, with_idle
from hwprm.compiler.timing.cycles import count_cycles, layer_cycles
from hwprm.compiler.timing.stalls import steady_stalls
from hwprm.config import ArrayConfig, MemoryConfig
from hwprm.core.errors import ConfigError
from hwprm.core.memo import kept, latest
from hwprm.intnet import IntegerNetwork
from hwprm.isa import RowShape
from hwprm.isa.latencies import SPACING

__all__ = ["best_layout"]

#: How many banks more than the fewest that are possible are tried.
SPARE_BANKS = 3


def best_layout(net: IntegerNetwork, array: ArrayConfig) -> Layout:
    """`net` laid out with the phases that take the fewest cycles, without any where these save none.

    The last layout of a network stays beside it, and so do its filter tiles until others are asked for.
    Raises as `lay_out` does.
    """
    return latest(net, "layout", array, lambda: _best(net, array))


def _best(net: IntegerNetwork, array: ArrayConfig) -> Layout:
    cuts = latest(net, "cuts", (array.cols, array.batch), lambda: Cuts(array))
    best = lay_out(net, array, cuts=cuts)
    if array.phases == "off":
        return best
    fewest = None
    for phases in dict.fromkeys(_choices(best, array, cuts)):
        fewest = fewest or _cycles_of(best, array)
        tried = lay_out(net, array, phases, cuts)
        cycles = _cycles_of(tried, array)
        if cycles is not None and fewest is not None and cycles < fewest:
            best, fewest = tried, cycles
    return best


def _cycles_of(layout: Layout, array: ArrayConfig) -> int | None:
    """Cycles of an image, waits for external memory as it is by default among them; None where rings are too small."""
    report, hw, tiles = count_cycles(layout), layout.hardware, layout.schedule.tiles
    if array.weights == "rom":
        return report.total
    layers = [layer.name for layer in report.layers]
    try:
        hw = replace(hw, external=size_rings(array, tiles, layers, hw))
    except ConfigError:
        return None
    return report.total + sum(steady_stalls(tiles, [layer.cycles for layer in report.layers], hw, MemoryConfig()))


def _choices(plain: Layout, array: ArrayConfig, cuts: Cuts) -> Iterator[tuple[int, ...]]:
    """For each number of banks the phases of every layer, unless there is no layer with any."""
    layers = [_Layer(geo, plain, array, cuts) for geo in plain.geometry]
    if not any(layer.counts for layer in layers):
        return
    least = banks = plain.memory_map.banks
    while banks <= least + SPARE_BANKS:
        memory_map = map_memory(plain.network, plain.geometry, banks)
        banks = memory_map.banks + 1
        chosen = tuple(layer.best(memory_map) for layer in layers)
        if max(chosen) > 1:
            yield chosen
        if all(gcd(count, memory_map.banks) == 1 for layer in layers for count in layer.counts):
            return


class _Layer:
    """One layer and the numbers of phases that might save it cycles."""

    def __init__(self, geo: LayerGeometry, plain: Layout, array: ArrayConfig, cuts: Cuts) -> None:
        self._plain, self._array, self._cuts = plain, array, cuts
        self._geometry = {1: geo}
        self._tiles: dict[int, Sequence[Tile]] = {1: plain.schedule.by_layer[geo.index]}
        issued = sum(tile.busy * tile.pixel_tiles for tile in self._tiles[1])
        self._least = _least(plain.network, geo, array)
        #: From what promises most, to those that promise anything.
        self.counts = sorted(
            (count for count in self._least if self._least[count] < issued), key=self._least.__getitem__
        )

    def best(self, memory_map: MemoryMap) -> int:
        """The number of phases, 1 included, that takes the fewest cycles in that memory; the smallest of equals."""
        best, fewest = 1, self._cycles(1, memory_map)
        for count in self.counts:
            if self._least[count] >= fewest:
                break
            if gcd(self._geometry[1].step_x * count, memory_map.banks) == 1:
                cycles = self._cycles(count, memory_map)
                if (cycles, count) < (fewest, best):
                    best, fewest = count, cycles
        return best

    def _cycles(self, count: int, memory_map: MemoryMap) -> int:
        if count not in self._tiles:
            geo = self._geometry[count] = self._cuts.geometry(self._plain.network, self._geometry[1].index, count)
            self._tiles[count] = build_schedule([geo], self._plain.memory_map, self._array, self._cuts).tiles
        geo = self._geometry[count]
        writes = pixel_tile_writes(geo, memory_map, self._array.rows)
        tiles = self._tiles[count]
        if (tiles[0].writes, tiles[0].last_writes) != (max(writes), writes[-1]):
            tiles = [replace(tile, writes=max(writes), last_writes=writes[-1]) for tile in tiles]
        cycles = layer_cycles(geo, with_idle(tiles, SPACING.of(self._array.pipeline)), self._plain.hardware)
        return cycles if self._array.weights == "rom" else max(cycles, self._beats(tiles))

    def _beats(self, tiles: Sequence[Tile]) -> int:
        """Beats of external memory that hold the weights: what a layer takes at least at a beat a cycle."""
        row = RowShape.of(self._array.cols * self._plain.hardware.weight_bits, self._array.axi_data_bits)
        return sum(row.rows(tile.length) for tile in tiles) * row.beats


def _counts(geo: LayerGeometry, array: ArrayConfig) -> list[int]:
    """The numbers of phases that `geo` could run with: divisors of its width, so that no row ends inside a lane's."""
    if not can_phase(geo):
        return []
    return [count for count in range(2, min(array.cols, geo.width) + 1) if geo.width % count == 0]


def _least(net: IntegerNetwork, geo: LayerGeometry, array: ArrayConfig) -> dict[int, int]:
    """Numbers of phases and the cycles that issue entries, at least: P phases of a row of n taps use n + P - 1 columns
    or more, less those that lie beside the map.
    """
    entries = kept(geo, ("least", array.cols), lambda: _entries(net, geo, array))
    return {
        count: all_of * len(geo.windows) * -(-geo.all_pixels // (count * array.rows))
        for count, all_of in entries.items()
    }


def _entries(net: IntegerNetwork, geo: LayerGeometry, array: ArrayConfig) -> dict[int, int]:
    """Entries of all filter tiles for each number of phases, at least."""
    counts = _counts(geo, array)
    entries = Counter[int](dict.fromkeys(counts, 0))
    for term in geo.layer.terms if counts else ():
        used = term.weight != 0
        taps, rows = used.sum(axis=(1, 2, 3)), used.any(axis=3).sum(axis=(1, 2))
        for count in counts:
            more = count - 1 - int((~inner_taps(net, geo, term, count)).sum())
            groups = (taps + more * rows).reshape(term.groups, -1)
            tiles = -(-groups.sum(axis=1) // (array.cols // count))
            entries[count] += int(np.maximum(groups.max(axis=1), tiles).sum())
    return dict(entries)
