"""Which goals each image reaches: one run of the numpy reference, watched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwprm.core.numerics import requantize, round_shift, saturate
from hwprm.intnet import GemmLayer, IntegerNetwork, Residual
from hwprm.intnet.reference import LOWEST, batch_of, pool_taps, run
from hwprm.verification.coverage.goals import BY_FILTER, SIGNS, Family

__all__ = ["Reached", "Sums", "measure"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
#: Whether an image reaches the goals of a kind, by owner and kind: ``(n, places)``.
Hits = dict[tuple[str, str], BoolArray]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sums:
    """The smallest and the largest sum of every filter of a layer in every image, after pooling: ``(n, M)`` each."""

    low: IntArray
    high: IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Reached:
    """What every image reaches: `goals` ``(n, goals)`` in the order of the families and their places, `filters`
    ``(n, filters)`` of those families whose filters are counted; and the `sums` of every layer.
    """

    goals: BoolArray
    filters: BoolArray
    sums: Mapping[str, Sums]

    def of(self, images: Sequence[int]) -> Reached:
        """Those of some images, in their order."""
        chosen = np.asarray(images, np.int64)
        sums = {name: Sums(low=ends.low[chosen], high=ends.high[chosen]) for name, ends in self.sums.items()}
        return Reached(goals=self.goals[chosen], filters=self.filters[chosen], sums=sums)

    def first(self, count: int) -> Reached:
        """Those of the first `count` images, or of all where there are fewer."""
        return self.of(range(min(count, len(self.goals))))

    def __add__(self, other: Reached) -> Reached:
        """Both images' after one another."""
        pairs = {name: (mine, other.sums[name]) for name, mine in self.sums.items()}
        return Reached(
            goals=np.concatenate([self.goals, other.goals]),
            filters=np.concatenate([self.filters, other.filters]),
            sums={
                name: Sums(low=np.concatenate([a.low, b.low]), high=np.concatenate([a.high, b.high]))
                for name, (a, b) in pairs.items()
            },
        )


def measure(net: IntegerNetwork, families: Sequence[Family], images: IntArray) -> Reached:
    """What each of `images` (`hwprm.intnet.images`) reaches of `families`, which are those of `net`.

    Raises what `hwprm.intnet.reference.run` raises.
    """
    step = batch_of(net)
    parts = [_measure(net, families, images[i : i + step]) for i in range(0, len(images), step)]
    first, *others = parts
    for part in others:
        first = first + part
    return first


def _measure(net: IntegerNetwork, families: Sequence[Family], images: IntArray) -> Reached:
    watcher = _Watcher(len(images))
    tensors = run(net, images, watch=watcher)
    for name in net.inputs:
        for kind, end in zip(("lowest", "highest"), net.tensor[name].limits, strict=True):
            watcher.note(name, kind, 0, [_anywhere(tensors[name] == end)])
    for layer in net.layers:
        if layer.residual:
            kind = "product" if layer.residual.gate else "adds"
            watcher.note(layer.name, kind, 0, _signs(layer.residual, tensors))
    counted = [family for family in families if family.filters is not None]
    none = np.zeros((len(images), 0), bool)
    return Reached(
        goals=np.concatenate([watcher.goals[family.owner, family.kind] for family in families], axis=1),
        filters=np.concatenate([none, *(watcher.filters[family.owner, family.kind] for family in counted)], axis=1),
        sums=watcher.sums,
    )


class _Watcher:
    """What the reference is watched with: the sums of a layer of a few images at a time."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.goals: Hits = {}
        self.filters: Hits = {}
        self.sums: dict[str, Sums] = {}

    def __call__(self, layer: GemmLayer, first: int, acc: IntArray, best: IntArray) -> None:
        mult, shift = (np.asarray(each, np.int64)[None, :, None, None] for each in (layer.mult, layer.shift))
        product = best * mult
        rounded = round_shift(product, shift)
        low, high = layer.clamp
        below, above = rounded < low, rounded > high
        kinds = dict(zip(BY_FILTER, (below, above, rounded == low, rounded == high), strict=True))
        for kind, where in kinds.items():
            by_filter = where.any(axis=(2, 3))
            self._put(self.filters, (layer.name, kind), first, by_filter)
            self.note(layer.name, kind, first, [by_filter.any(axis=1)])
        for kind, where in _rounding(product, shift).items():
            self.note(layer.name, kind, first, [_anywhere(where & ~below & ~above)])
        if layer.pool and layer.pool.kernel != (1, 1):
            decided, tied = _decisions(layer, acc, best)
            self.note(layer.name, "decided at", first, decided)
            self.note(layer.name, "tie", first, [tied])
        if layer.table is not None:
            self._put(self.goals, (layer.name, "code"), first, _codes(rounded, layer.clamp))
        if layer.name not in self.sums:
            blank = np.zeros((self._count, len(layer.bias)), np.int64)
            self.sums[layer.name] = Sums(low=blank, high=blank.copy())
        part = slice(first, first + len(best))
        self.sums[layer.name].low[part] = best.min(axis=(2, 3))
        self.sums[layer.name].high[part] = best.max(axis=(2, 3))

    def note(self, owner: str, kind: str, first: int, hits: Iterable[BoolArray]) -> None:
        """Whether images from number `first` on reach each goal of a kind: ``(k,)`` for each."""
        self._put(self.goals, (owner, kind), first, np.stack(list(hits), axis=1))

    def _put(self, hits: Hits, key: tuple[str, str], first: int, found: BoolArray) -> None:
        if key not in hits:
            hits[key] = np.zeros((self._count, found.shape[1]), bool)
        hits[key][first : first + len(found)] = found


def _anywhere(where: BoolArray) -> BoolArray:
    found: BoolArray = np.logical_or.reduce(where.reshape(len(where), -1), axis=1)
    return found


def _rounding(product: IntArray, shift: IntArray) -> dict[str, BoolArray]:
    half = np.int64(1) << (shift - 1)
    remainder = product & (2 * half - 1)
    tie = remainder == half
    return {
        "rounded up": remainder > half,
        "rounded down": (remainder > 0) & (remainder < half),
        "tie above 0": tie & (product > 0),
        "tie below 0": tie & (product < 0),
    }


def _decisions(layer: GemmLayer, acc: IntArray, best: IntArray) -> tuple[list[BoolArray], BoolArray]:
    """Of each tap whether its sum decides what becomes of a window; and whether two of them are the largest."""
    assert layer.pool
    taps = list(pool_taps(layer.pool, acc))
    first, second = (np.full_like(best, LOWEST) for _ in range(2))
    for tap in taps:
        np.maximum(second, np.minimum(first, tap), out=second)
        np.maximum(first, tap, out=first)
    alone = second == LOWEST  # a window that reads the map once decides nothing
    second[alone] = best[alone]
    mult, shift = (np.asarray(each, np.int64)[None, :, None, None] for each in (layer.mult, layer.shift))
    results = [requantize(each, mult, shift, *layer.clamp) for each in (best, second)]
    shown = results[0] != results[1]
    return [_anywhere(shown & (tap == best)) for tap in taps], _anywhere((second == best) & ~alone)


def _codes(rounded: IntArray, clamp: tuple[int, int]) -> BoolArray:
    """Which codes of the clamp's range occur: ``(k, codes)``."""
    codes = saturate(rounded, *clamp).reshape(len(rounded), -1) - clamp[0]
    found = np.zeros((len(codes), clamp[1] - clamp[0] + 1), bool)
    found[np.arange(len(codes))[:, None], codes] = True
    return found


def _signs(residual: Residual, tensors: Mapping[str, IntArray]) -> list[BoolArray]:
    used = residual.mult > 0
    x = tensors[residual.source][:, residual.channel[used]]
    signs = {"+": x > 0, "-": x < 0}
    if residual.gate is None:
        return [_anywhere(signs[sign]) for sign in "+-"]
    g = tensors[residual.gate.source][:, residual.gate.channel[used]]
    gates = {"+": g > 0, "-": g < 0}
    return [_anywhere(signs[pair[0]] & gates[pair[1]]) for pair in SIGNS]
