"""The cycle model: exact, to the cycle, for every network and array.

A layer takes its issue cycles, one per list entry and pixel tile plus the idle ones, and then a tail until the next
layer may read what it stored. Tail = pipeline depth + skew of the rows + one cycle per filter (and write) of the last
tile; what a block takes is in `hwprm.isa.latencies`. `tests` and every verification compare the sum with the simulated
counter, without tolerance.

Beside the cycles stand three measures of a layer. Its *bound* no design with as many multipliers and banks goes below.
Its *promise* P is what the array's formula says: the sum over filter tiles, of F filters with K columns, and over their
ceil(N / R) pixel tiles, of

    max(W * (K + guard) + residuals, through, drained)                          W window positions

`guard` is 1 where windows of a pool leave the map, which takes an entry a window; `residuals` counts their gates too;
`through` is C where there are residuals, since each passes all columns, however few of them have a filter, and 2 C
where these have gates; `drained` is F * writes of this pixel tile, or of the one before if that is more, which leaves
meanwhile. `writes` is 1 as a rule, more where a vector goes to several rows (every pixel tile but the last counts as
the worst of them) or is repeated, and in a wide layer the pixels of the tile, whose words leave one by one. A layer's
*limit*, which none is allowed to pass, is 1.05 * P + 64 + max(0, R + D - 32) + stages, rounded down; D is F * writes of
the last pixel tile (C at most as a rule) and `stages` what the layer takes longer than in a design with the short
pipeline and without tables.

With batches all of this is of a batch: N are the pixels of all its images, and bound and limit are those of all of
them. Where tiles end with the image there are ceil(N / R) for each. An image's end counts in writes as a row's does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np

from hwprm.compiler.layout.geometry import LayerGeometry
from hwprm.compiler.layout.layout import Layout
from hwprm.compiler.layout.schedule import Tile, with_idle
from hwprm.core.memo import kept
from hwprm.intnet import GemmLayer
from hwprm.isa import Hardware
from hwprm.isa.latencies import SPACING, STORE_QUEUE, done_to_issue, issue_to_vector, issue_to_word, setup_to_issue

__all__ = ["CycleReport", "LayerCycles", "count_cycles", "layer_cycles"]


@dataclass(frozen=True, kw_only=True)
class LayerCycles:
    """Cycles of one layer. `macs` counts the weights that are not zero, once for every convolution pixel; with phases
    those left out that no list holds, because they lie beside the map wherever they would be used.
    """

    name: str
    #: Kept filters and columns (of the whole layer), output pixels, window positions.
    filters: int
    columns: int
    pixels: int
    window: int
    macs: int
    #: Exact prediction: first issue of this layer to first issue of the next.
    cycles: int
    #: Cycles that issue list entries.
    busy: int
    #: Those of `cycles` that the short pipeline would not take, without tables behind the requantiser.
    stages: int
    #: The array's formula, see above.
    promise: int
    #: Most cycles that keep the promise.
    limit: int
    #: The array's ideal: max(macs / (R*C), weights / C); residuals have no part in it.
    bound: float
    #: Weights that are not zero.
    weights: int
    #: Columns that the lists of all filter tiles hold together.
    listed: int
    #: What they would hold if the same number of weights stood in the same columns of every filter.
    regular: int
    #: Weights stored beside the listed columns, zeros among them.
    slots: int
    #: `cycles` and `listed` if the filters stood in the network's own order.
    unordered_cycles: int
    unordered_listed: int
    #: Neighbouring pixels that ran as filters of their own.
    phases: int = 1

    def utilisation(self, rows: int, cols: int) -> float:
        """Share of what `rows` x `cols` multipliers could do in `cycles` that is multiplication by a kept weight."""
        return self.macs / (rows * cols * self.cycles)


@dataclass(frozen=True, kw_only=True)
class CycleReport:
    """Steady-state cycles per image: the interval between the starts of two images when the host keeps up.

    With a `batch` of several images all counts are those of the whole batch.
    """

    rows: int
    cols: int
    layers: tuple[LayerCycles, ...]
    #: Cycles that each layer waits for external memory besides; empty where that was not asked, or nothing waits.
    stalls: tuple[int, ...] = ()
    #: Images of a batch.
    batch: int = 1

    @property
    def total(self) -> int:
        """Cycles per image, or per batch."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def unordered(self) -> int:
        """`total` if all filters stood in the network's own order."""
        return sum(layer.unordered_cycles for layer in self.layers)

    @property
    def promise(self) -> int:
        """The sum that the array's formula promises."""
        return sum(layer.promise for layer in self.layers)

    @property
    def limit(self) -> int:
        """Most cycles that keep the promise: the sum of the layers' limits."""
        return sum(layer.limit for layer in self.layers)

    @property
    def utilisation(self) -> float:
        """Share of what all multipliers could do in the cycles of an image that is multiplication by a kept weight."""
        return sum(layer.macs for layer in self.layers) / (self.rows * self.cols * self.total)

    @property
    def bound(self) -> float:
        """Sum of the layers' ideal bounds."""
        return sum(layer.bound for layer in self.layers)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `as_dict` made. Raises KeyError or TypeError when it is anything else."""
        layers = tuple(LayerCycles(**entry) for entry in plain["layers"])
        return cls(rows=plain["rows"], cols=plain["cols"], layers=layers, batch=plain.get("batch", 1))

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "rows": self.rows,
            "cols": self.cols,
            **({"batch": self.batch} if self.batch > 1 else {}),
            "total": self.total,
            "unordered": self.unordered,
            "promise": self.promise,
            "limit": self.limit,
            "bound": self.bound,
            "ratio_to_bound": self.total / self.bound,
            "utilisation": self.utilisation,
            "layers": [asdict(layer) for layer in self.layers],
        }


def count_cycles(layout: Layout, unordered: Layout | None = None) -> CycleReport:
    """Exact cycles per layer and per image of what `layout` lays out, beside those of `unordered`: the same network
    before its filters were ordered, where that changed anything.
    """
    hw, layers = layout.hardware, kept(layout, "cycles", partial(_layers, layout))
    if unordered is not None:
        before = {layer.name: layer for layer in kept(unordered, "cycles", partial(_layers, unordered))}
        layers = tuple(
            replace(one, unordered_cycles=before[one.name].cycles, unordered_listed=before[one.name].listed)
            if one.name in before
            else replace(one, unordered_cycles=0, unordered_listed=0)  # split off later: counted where it was before
            for one in layers
        )
    return CycleReport(rows=hw.rows, cols=hw.cols, layers=layers, batch=hw.batch)


def _layers(layout: Layout) -> tuple[LayerCycles, ...]:
    """The layers of `layout`, as if no other order of filters had been there."""
    hw, layers = layout.hardware, []
    for geo, mine in zip(layout.geometry, layout.schedule.by_layer, strict=True):
        phases, window, pixels = geo.phases, len(geo.windows), geo.pixels * geo.phases
        filters, used = geo.filters // phases, _used(geo.layer)
        weights = used if phases == 1 else min(used, _used(layout.network.layers[geo.index]))
        macs = used * geo.images * min(pixels * window, geo.conv_height * geo.conv_width) // phases
        cycles = layer_cycles(geo, mine, hw)
        stages = cycles - _short_cycles(geo, mine, hw, cycles)
        promise = _promise(geo, mine, hw)
        listed = sum(tile.columns for tile in mine)
        layers.append(
            LayerCycles(
                name=geo.layer.name,
                filters=filters,
                columns=_columns(geo),
                pixels=geo.all_pixels * phases,
                window=window,
                macs=macs,
                cycles=cycles,
                busy=sum(tile.busy * tile.pixel_tiles for tile in mine),
                stages=stages,
                promise=promise,
                limit=21 * promise // 20 + 64 + max(0, hw.rows + mine[-1].filters * mine[-1].last_writes - 32) + stages,
                bound=max(macs / (hw.rows * hw.cols), weights / hw.cols, 1.0),
                weights=weights,
                listed=listed,
                regular=len(mine) * max(1, -(-weights // filters)),
                slots=max(1, sum(tile.columns * tile.filters for tile in mine)),
                unordered_cycles=cycles,
                unordered_listed=listed,
                phases=phases,
            )
        )
    return tuple(layers)


def _short_cycles(geo: LayerGeometry, tiles: Sequence[Tile], hw: Hardware, cycles: int) -> int:
    """What the layer, which takes `cycles`, would take in a design with the short pipeline and without tables."""
    if not hw.fast and not hw.posts:
        return cycles
    short = replace(hw, pipeline="short", posts=0)
    return layer_cycles(geo, with_idle(tiles, SPACING(short)), short)


def _promise(geo: LayerGeometry, tiles: Sequence[Tile], hw: Hardware) -> int:
    """What the formula says of all `tiles` of a layer."""
    promise = before = 0
    for tile in tiles:
        entries = max(tile.passes * (tile.columns + geo.guarded) + tile.residuals, tile.tail(hw.cols))
        inner, last = tile.filters * tile.writes, tile.filters * tile.last_writes
        if tile.pixel_tiles == 1:
            promise += max(entries, before, last)
        else:
            promise += max(entries, before, inner) + max(entries, inner, last)
            promise += (tile.pixel_tiles - 2) * max(entries, inner)
        before = last
    return promise


def _used(layer: GemmLayer) -> int:
    """Weights that are not zero."""
    return kept(layer, "used", lambda: sum(int(np.count_nonzero(term.weight)) for term in layer.terms))


def _columns(geo: LayerGeometry) -> int:
    """Columns of the layer's matrix that hold a weight, group by group; phases, which are as many all, left out."""
    return kept(geo.layer, ("columns", geo.phases), lambda: _count_columns(geo))


def _count_columns(geo: LayerGeometry) -> int:
    columns = 0
    for term in geo.layer.terms:
        weight = term.weight[:: geo.phases]
        columns += int(weight.reshape(term.groups, len(weight) // term.groups, -1).any(axis=1).sum())
    return max(columns, 1)


def layer_cycles(geo: LayerGeometry, tiles: Sequence[Tile], hw: Hardware) -> int:
    """Cycles of the layer with these tiles, which are all of its own: from its first issue to the next layer's."""
    return sum(tile.cycles for tile in tiles) - tiles[-1].idle_last + _tail(geo, tiles[-1], hw)


def _tail(geo: LayerGeometry, last: Tile, hw: Hardware) -> int:
    """Cycles from the layer's last issue to the next layer's first, less the one that any next issue takes."""
    if geo.layer.wide:
        done = issue_to_word(hw) + last.filters * last.last_writes - 1
    else:
        done = issue_to_vector(hw) + STORE_QUEUE(hw) + last.filters * last.last_writes - 1
    # Setting up the next layer's lanes is hidden by the drain as a rule.
    return max(done + done_to_issue(hw), setup_to_issue(hw)) - 1
