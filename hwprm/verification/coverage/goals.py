"""Goals: what images ought to make every layer of an integer network do, and which of it no image can.

=====================  ==============================================================================================
kind                   reached where
=====================  ==============================================================================================
lowest, highest        an input holds the end of its range; a layer makes the end of its clamp of a sum that rounds to
                       just that
below, above           a layer's clamp changes a rounded sum, at its lower or upper end
rounded up, down       a sum that is not clamped lies nearer to the integer above, or below
tie above 0, below 0   ... exactly half-way between two, and is positive, or negative; of layers only of which a filter
                       has such a sum among every `DENSE`: where they lie further apart images meet none but by luck
decided at Y,X         the largest sum of a pooling window stands at row Y and column X of the kernel, and the second
                       largest would have made another integer
tie                    the largest sum of a pooling window stands in two places
code N                 a layer with a table reads the table's word for the code N
adds +, -              a residual adds to a sum, or takes from it
product ++, +-, ...    a residual and its gate have these signs
=====================  ==============================================================================================

A goal is of a layer: any filter and pixel will do. Of the clamps and their ends the filters are counted beside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwprm.core.geometry import taps_inside
from hwprm.core.numerics import round_shift
from hwprm.intnet import GemmLayer, IntegerNetwork, Pool, Residual
from hwprm.verification.coverage.bounds import Bounds, network_bounds
from hwprm.verification.coverage.residues import leaves

__all__ = ["BY_FILTER", "SIGNS", "Family", "Filter", "filters_of", "goals_of", "taps_of"]

BoolArray = NDArray[np.bool_]
Pair = tuple[int, int]
#: Kinds whose filters are counted too.
BY_FILTER = ("below", "above", "lowest", "highest")
#: Most sums from one that lies half-way to the next.
DENSE = 16
#: Signs of a residual and its gate.
SIGNS = ("++", "+-", "-+", "--")


@dataclass(frozen=True, kw_only=True, eq=False)
class Family:
    """The goals of one `kind` of the layer or input called `owner`, one for each of `places`.

    impossible ``(places,)``: those that a bound rules out; `filters` ``(M,)`` likewise of kinds in `BY_FILTER`.
    """

    owner: str
    kind: str
    places: tuple[str, ...]
    impossible: BoolArray
    filters: BoolArray | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What each goal is called within its layer."""
        return tuple(f"{self.kind} {place}".strip() for place in self.places)


def goals_of(net: IntegerNetwork) -> tuple[Family, ...]:
    """All goals of `net`: those of its inputs, then those of its layers in the order they run."""
    tensors, sums = network_bounds(net)
    found = [
        Family(owner=name, kind=kind, places=("",), impossible=np.zeros(1, bool))
        for name in net.inputs
        for kind in ("lowest", "highest")
    ]
    for layer in net.layers:
        found += _of_layer(net, layer, sums[layer.name])
        if layer.residual:
            found.append(_of_residual(layer.name, layer.residual, tensors))
    return tuple(found)


def _of_layer(net: IntegerNetwork, layer: GemmLayer, sums: Bounds) -> Iterator[Family]:
    name, (low, high) = layer.name, layer.clamp
    filters = filters_of(layer, sums)
    least, most = (round_shift(end * np.asarray(layer.mult, np.int64), layer.shift) for end in (sums.low, sums.high))
    ends = {
        "below": least >= low,
        "above": most <= high,
        "lowest": np.array([not one.rounds_to(low) for one in filters]),
        "highest": np.array([not one.rounds_to(high) for one in filters]),
    }
    for kind, none in ends.items():
        yield Family(owner=name, kind=kind, places=("",), impossible=np.array([none.all()]), filters=none)
    ties = any(0 < one.period <= DENSE for one in filters)
    for kind, wanted in _ROUNDING.items():
        if wanted[0] == "half" and not ties:
            continue
        possible = any(one.leaves(layer.clamp, *wanted) for one in filters)
        yield Family(owner=name, kind=kind, places=("",), impossible=np.array([not possible]))
    if layer.pool and layer.pool.kernel != (1, 1):
        shown = bool((np.clip(least, low, high) != np.clip(most, low, high)).any())
        yield from _of_pool(name, layer.pool, taps_of(net, layer), shown)
    if layer.table is not None:
        codes = np.arange(low, high + 1)
        read = np.zeros(len(codes), bool)
        for first, last in zip(np.clip(least, low, high), np.clip(most, low, high), strict=True):
            read[first - low : last - low + 1] = True
        yield Family(owner=name, kind="code", places=tuple(map(str, codes)), impossible=~read)


#: Least and largest remainder of a product as parts of its half, and the sign of the product, 0 for any.
_ROUNDING: Mapping[str, tuple[str, int]] = {
    "rounded up": ("over", 0),
    "rounded down": ("under", 0),
    "tie above 0": ("half", 1),
    "tie below 0": ("half", -1),
}


@dataclass(frozen=True)
class Filter:
    """Multiplier and shift of a filter, and the ends of its sums."""

    mult: int
    shift: int
    low: int
    high: int

    def rounding_to(self, first: int, last: int) -> Pair:
        """The ends of the sums that are requantised to an integer of first..last, before any clamp; may be none."""
        half = 1 << (self.shift - 1)
        if self.mult == 0:
            return (self.low, self.high) if first <= 0 <= last else (0, -1)
        least = -(-((first << self.shift) - half) // self.mult)
        most = (((last + 1) << self.shift) - 1 - half) // self.mult
        return max(self.low, least), min(self.high, most)

    def rounds_to(self, value: int) -> bool:
        """Whether a sum may be requantised to `value`, before any clamp."""
        low, high = self.rounding_to(value, value)
        return low <= high

    def leaves(self, clamp: Pair, side: str, sign: int) -> bool:
        """Whether the product of a sum that is not clamped may lie on this `side` of half-way, with this sign."""
        low, high = self.rounding_to(*clamp)
        low, high = max(low, 1) if sign > 0 else low, min(high, -1) if sign < 0 else high
        half = 1 << (self.shift - 1)
        wanted = {"under": (1, half - 1), "half": (half, half), "over": (half + 1, 2 * half - 1)}[side]
        return wanted[0] <= wanted[1] and leaves(self.mult, 2 * half, (low, high), wanted)

    @property
    def period(self) -> int:
        """How far apart the sums are that lie half-way between two integers; 0 where none does."""
        powers = (self.mult & -self.mult).bit_length() - 1  # of two, in the multiplier
        return 1 << (self.shift - powers) if 0 <= powers < self.shift else 0


def filters_of(layer: GemmLayer, sums: Bounds) -> list[Filter]:
    """The filters of `layer`, whose sums lie within `sums`."""
    return [Filter(*map(int, row)) for row in zip(layer.mult, layer.shift, sums.low, sums.high, strict=True)]


def _of_pool(name: str, pool: Pool, inside: BoolArray, shown: bool) -> Iterator[Family]:
    """`inside` ``(PH, PW, KH, KW)``: which taps of which window read the map; `shown`: results differ at all."""
    choice = inside & (inside.sum(axis=(2, 3), keepdims=True) > 1)
    places = tuple(f"{y},{x}" for y in range(pool.kernel[0]) for x in range(pool.kernel[1]))
    possible = choice.any(axis=(0, 1)).reshape(-1)
    yield Family(owner=name, kind="decided at", places=places, impossible=~(possible & shown))
    yield Family(owner=name, kind="tie", places=("",), impossible=np.array([not possible.any()]))


def taps_of(net: IntegerNetwork, layer: GemmLayer) -> BoolArray:
    """``(PH, PW, KH, KW)``: whether a tap of a pooling window of `layer` reads the map. It must have a pool."""
    pool, size, out = layer.pool, net.conv_size(layer), net.computed_size(layer)
    assert pool
    rows, cols = (
        taps_inside(size[i], out[i], pool.kernel[i], pool.stride[i], pool.padding[2 * i], pool.dilation[i])
        for i in (0, 1)
    )
    return rows[:, None, :, None] & cols[None, :, None, :]


def _of_residual(name: str, residual: Residual, tensors: Mapping[str, Bounds]) -> Family:
    used = residual.mult > 0
    signs = [_signs(tensors[residual.source].at(residual.channel[used]))]
    if residual.gate:
        signs.append(_signs(tensors[residual.gate.source].at(residual.gate.channel[used])))
        possible = [bool((signs[0][pair[0]] & signs[1][pair[1]]).any()) for pair in SIGNS]
        return Family(owner=name, kind="product", places=SIGNS, impossible=~np.array(possible))
    possible = [bool(signs[0][sign].any()) for sign in "+-"]
    return Family(owner=name, kind="adds", places=("+", "-"), impossible=~np.array(possible))


def _signs(bounds: Bounds) -> dict[str, BoolArray]:
    return {"+": bounds.high > 0, "-": bounds.low < 0}
