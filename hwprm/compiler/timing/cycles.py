"""The cycle model: exact, to the cycle, for every network and array.

A layer takes its issue cycles, one per list entry and pixel tile plus the idle ones, and then a tail until the next
layer may read what it stored. Tail = pipeline depth + skew of the rows + one cycle per filter (and write) of the last
tile; what a block takes is in `hwprm.isa.latencies`. `tests` and every verification compare the sum with the simulated
counter, without tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from hwprm.compiler.layout.geometry import LayerGeometry
from hwprm.compiler.layout.layout import Layout
from hwprm.compiler.layout.schedule import Tile, with_idle
from hwprm.isa import Hardware
from hwprm.isa.latencies import DONE_TO_ISSUE, SPACING, STORE_QUEUE, issue_to_result, issue_to_vector, setup_to_issue

__all__ = ["CycleReport", "LayerCycles", "count_cycles"]


@dataclass(frozen=True, kw_only=True)
class LayerCycles:
    """Cycles of one layer. `macs` counts the kept matrix, M x K, once for every convolution pixel."""

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
    #: Those of `cycles` that the short pipeline would not take.
    stages: int
    #: Sum over filter tiles of ceil(N / R) * window * max(K, drained filters / window), K the tile's own columns and
    #: residual entries. Entries that only fill a list up to the residuals' places are not promised.
    promise: int
    #: The array's ideal: max(macs / (R*C), M*K / C); residuals have no part in it.
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


@dataclass(frozen=True, kw_only=True)
class CycleReport:
    """Steady-state cycles per image: the interval between the starts of two images when the host keeps up."""

    rows: int
    cols: int
    layers: tuple[LayerCycles, ...]
    #: Cycles that each layer waits for external memory besides; empty where that was not asked, or nothing waits.
    stalls: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        """Cycles per image."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def unordered(self) -> int:
        """`total` if all filters stood in the network's own order."""
        return sum(layer.unordered_cycles for layer in self.layers)

    @property
    def promise(self) -> int:
        """The sum that the array's formula promises, before the allowance of 5 % and 64 cycles a layer."""
        return sum(layer.promise for layer in self.layers)

    @property
    def limit(self) -> float:
        """Most cycles that keep the promise: 1.05 x promise + 64 per layer, and what a deeper pipeline adds."""
        return 1.05 * self.promise + 64 * len(self.layers) + sum(layer.stages for layer in self.layers)

    @property
    def bound(self) -> float:
        """Sum of the layers' ideal bounds."""
        return sum(layer.bound for layer in self.layers)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `as_dict` made. Raises KeyError or TypeError when it is anything else."""
        layers = tuple(LayerCycles(**entry) for entry in plain["layers"])
        return cls(rows=plain["rows"], cols=plain["cols"], layers=layers)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "rows": self.rows,
            "cols": self.cols,
            "total": self.total,
            "unordered": self.unordered,
            "promise": self.promise,
            "limit": self.limit,
            "bound": self.bound,
            "ratio_to_bound": self.total / self.bound,
            "layers": [asdict(layer) for layer in self.layers],
        }


def count_cycles(layout: Layout, unordered: Layout | None = None) -> CycleReport:
    """Exact cycles per layer and per image of what `layout` lays out, beside those of `unordered`: the same network
    before its filters were ordered, where that changed anything.
    """
    hw = layout.hardware
    short = replace(hw, pipeline="short")
    layers = []
    for geo in layout.geometry:
        mine = [tile for tile in layout.schedule.tiles if tile.layer == geo.index]
        columns, products = _kept(geo)
        window = len(geo.windows)
        promise = -(-geo.pixels // hw.rows) * sum(
            max(window * (tile.columns + tile.residuals), tile.filters) for tile in mine
        )
        macs = products * min(geo.pixels * window, geo.conv_height * geo.conv_width)
        cycles, listed = _cycles(geo, mine, hw), sum(tile.columns for tile in mine)
        weights = sum(int(np.count_nonzero(term.weight)) for term in geo.layer.terms)
        layers.append(
            LayerCycles(
                name=geo.layer.name,
                filters=geo.filters,
                columns=columns,
                pixels=geo.pixels,
                window=window,
                macs=macs,
                cycles=cycles,
                busy=sum(tile.busy * tile.pixel_tiles for tile in mine),
                stages=cycles - _cycles(geo, with_idle(mine, SPACING(short)), short),
                promise=promise,
                bound=max(macs / (hw.rows * hw.cols), products / hw.cols),
                weights=weights,
                listed=listed,
                regular=len(mine) * max(1, -(-weights // geo.filters)),
                slots=max(1, sum(tile.columns * tile.filters for tile in mine)),
                unordered_cycles=cycles,
                unordered_listed=listed,
            )
        )
    if unordered is not None:
        before = {layer.name: layer for layer in count_cycles(unordered).layers}
        layers = [
            replace(one, unordered_cycles=before[one.name].cycles, unordered_listed=before[one.name].listed)
            for one in layers
        ]
    return CycleReport(rows=hw.rows, cols=hw.cols, layers=tuple(layers))


def _kept(geo: LayerGeometry) -> tuple[int, int]:
    """Kept columns of the layer's matrix, and its weights (filters x kept columns, group by group)."""
    columns = products = 0
    for term in geo.layer.terms:
        per_group = geo.filters // term.groups
        used = int(term.weight.reshape(term.groups, per_group, -1).any(axis=1).sum())
        columns += used
        products += used * per_group
    return max(columns, 1), max(products, 1)


def _cycles(geo: LayerGeometry, tiles: Sequence[Tile], hw: Hardware) -> int:
    """Cycles of the layer with these tiles, all of its own: from its first issue to the next layer's."""
    issue = sum((tile.busy + tile.idle) * tile.pixel_tiles for tile in tiles) - tiles[-1].idle
    return issue + _tail(geo, tiles[-1], hw)


def _tail(geo: LayerGeometry, last: Tile, hw: Hardware) -> int:
    """Cycles from the layer's last issue to the next layer's first, less the one that any next issue takes."""
    if geo.layer.wide:
        done = issue_to_result(hw) + last.filters - 1
    else:
        done = issue_to_vector(hw) + STORE_QUEUE(hw) + last.filters * last.last_writes - 1
    # Setting up the next layer's lanes is hidden by the drain as a rule.
    return max(done + DONE_TO_ISSUE, setup_to_issue(hw)) - 1
