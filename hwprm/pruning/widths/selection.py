"""Which channel groups a budget leaves, from their rank, and what a group costs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import ConfigError
from hwprm.pruning.channels.blocks import Blocks, Meter, narrow

__all__ = ["Selection", "check_reachable", "fill", "marginal_costs", "select"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """What a budget leaves: `keep` ``(groups.count,)``, `counts` of each block, its cost, and the global rank."""

    keep: BoolArray
    counts: IntArray
    cost: int
    #: Groups that stay by rank, of all free ones; minima and rounding may keep more, rounding also fewer.
    ranked: int


def marginal_costs(blocks: Blocks, meter: Meter, total: int, share: float = 1.0) -> FloatArray:
    """``(groups.count,)``: share of the cost `total` of the whole network that one group more or less makes.

    In a network that keeps `share` of each block, by a finite difference for each: ``meter.grain`` of its groups at
    once, less where it has fewer.
    """
    counts = np.maximum(1, np.ceil(share * blocks.sizes)).astype(np.int64)

    @cache  # the network itself is one end of most differences
    def cost(*widths: int) -> int:
        return meter.total(narrow(blocks.groups, blocks.first(blocks.free, np.array(widths))))

    costs = np.zeros(blocks.groups.count)
    for block, size in enumerate(blocks.sizes):
        low = max(1, int(counts[block]) - meter.grain)
        if differ := min(meter.grain, int(size) - low):
            ends = ((*counts[:block], count, *counts[block + 1 :]) for count in (low, low + differ))
            fewer, more = (cost(*map(int, widths)) for widths in ends)
            freed = (more - fewer) / differ
            costs[blocks.of == block] = max(0.0, freed) / total
    return costs


def select(blocks: Blocks, order: IntArray, meter: Meter, budget: int, step: int) -> Selection:
    """The longest prefix of `order` (free groups, most important first) that costs at most `budget`.

    Widths are rounded to multiples of `step` (`Blocks.rounded`), so every block keeps something. One group more in the
    prefix would cost more than the budget, unless everything stays. Raises ConfigError when nothing fits.
    """
    search = _Search(blocks=blocks, order=order, meter=meter, step=step)
    least = search.kept(order[:0])
    check_reachable(least.cost, budget, meter, step)
    return search.longest(order, budget, least)


def fill(blocks: Blocks, order: IntArray, meter: Meter, budget: int, step: int, chosen: Selection) -> Selection:
    """`chosen`, a prefix of `order`, and what comes after it as long as `budget` holds.

    A block whose next group would exceed the budget gets no more; the others go on in their order. In the end no block
    can get another group.
    """
    search = _Search(blocks=blocks, order=order, meter=meter, step=step)
    sequence, best = order, chosen
    while best.ranked < len(sequence):
        taken, later = sequence[: best.ranked], sequence[best.ranked + 1 :]
        full = blocks.of[sequence[best.ranked]]
        sequence = np.concatenate([taken, later[blocks.of[later] != full]])
        best = search.longest(sequence, budget, best)
    return replace(best, ranked=chosen.ranked)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Search:
    """What the widths of prefixes cost; equal widths are counted once."""

    blocks: Blocks
    order: IntArray
    meter: Meter
    step: int
    known: dict[bytes, Selection] = field(default_factory=dict)

    def kept(self, chosen: IntArray) -> Selection:
        """As many groups of each block as `chosen` has, the first in order."""
        counts = np.bincount(self.blocks.of[chosen], minlength=len(self.blocks.sizes))
        counts = self.blocks.rounded(counts, self.step)
        if (found := self.known.get(key := counts.tobytes())) is None:
            keep = self.blocks.first(self.order, counts)
            cost = self.meter.total(narrow(self.blocks.groups, keep))
            found = self.known[key] = Selection(keep=keep, counts=counts, cost=cost, ranked=len(chosen))
        return replace(found, ranked=len(chosen))

    def longest(self, sequence: IntArray, budget: int, best: Selection) -> Selection:
        """The longest prefix of `sequence` that costs at most `budget`, as `best` does, which is one."""
        if (whole := self.kept(sequence)).cost <= budget:
            return whole
        most = len(sequence)
        while most - best.ranked > 1:
            middle = self.kept(sequence[: (best.ranked + most) // 2])
            if middle.cost <= budget:
                best = middle
            else:
                most = middle.ranked
        return best


def check_reachable(least: int, budget: int, meter: Meter, step: int) -> None:
    """Raise ConfigError where `least`, what the narrowest network costs, is above `budget`."""
    if least > budget:
        width = "one channel" if step == 1 else f"{step} channels"
        raise ConfigError(
            f"widths: the budget of {budget} {meter.name} is below the narrowest network, which takes {least} with "
            f"{width} in every layer; give a larger widths.keep or widths.budget"
            + (", or a smaller widths.round_to" if step > 1 else "")
        )
