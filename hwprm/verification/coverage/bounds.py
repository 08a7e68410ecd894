"""What the sums of every filter can be, whatever the image: intervals, carried through the network in exact integers.

Pixels are taken to be independent of each other, which they are not: the intervals hold every sum that there is, and
more. What lies outside of them is proven to be out of reach; what lies inside may be out of reach all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hwprm.core.geometry import taps_inside
from hwprm.core.numerics import round_shift
from hwprm.intnet import GemmLayer, IntegerNetwork, Term

__all__ = ["Bounds", "network_bounds"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Bounds:
    """Smallest and largest integer of every channel of a tensor, or of every filter's sums: ``(M,)`` each."""

    low: IntArray
    high: IntArray

    def at(self, channel: IntArray) -> Bounds:
        """Those of some channels, in their order."""
        return Bounds(low=self.low[channel], high=self.high[channel])

    def times(self, other: Bounds) -> Bounds:
        """Those of products, channel by channel."""
        ends = [a * b for a, b in product((self.low, self.high), (other.low, other.high))]
        return Bounds(low=np.minimum.reduce(ends), high=np.maximum.reduce(ends))


def network_bounds(net: IntegerNetwork) -> tuple[Mapping[str, Bounds], Mapping[str, Bounds]]:
    """`Bounds` of every tensor, inputs included, and of the sums of every layer, bias and residual in them: by name."""
    tensors = {}
    for name in net.inputs:
        (low, high), channels = net.tensor[name].limits, net.tensor[name].shape[0]
        tensors[name] = Bounds(low=np.full(channels, low, np.int64), high=np.full(channels, high, np.int64))
    sums = {}
    for layer in net.layers:
        sums[layer.name] = _sums(net, layer, tensors)
        tensors[layer.name] = _results(layer, sums[layer.name])
    return tensors, sums


def _sums(net: IntegerNetwork, layer: GemmLayer, tensors: Mapping[str, Bounds]) -> Bounds:
    low = high = np.asarray(layer.bias, np.int64)
    added = [_term(term, tensors[term.source], net.tensor[term.source].shape[1:]) for term in layer.terms]
    if residual := layer.residual:
        mult = np.asarray(residual.mult, np.int64)
        part = tensors[residual.source].at(residual.channel).times(Bounds(low=mult, high=mult))
        gate = residual.gate
        added.append(part.times(tensors[gate.source].at(gate.channel)) if gate else part)
    for part in added:
        low, high = low + part.low, high + part.high
    return Bounds(low=low, high=high)


def _term(term: Term, x: Bounds, size: tuple[int, int]) -> Bounds:
    """Over a map of `size`: at every pixel the taps inside it count, those in the padding read 0."""
    filters, per_group = term.weight.shape[:2]
    group = np.arange(filters) // (filters // term.groups)
    channel = group[:, None] * per_group + np.arange(per_group)
    low, high = (end[channel][:, :, None, None] for end in (x.low, x.high))
    weight = np.asarray(term.weight, np.int64)
    least = np.minimum(weight * low, weight * high).sum(axis=1)  # (M, KH, KW), of each tap
    most = np.maximum(weight * low, weight * high).sum(axis=1)
    out = term.output_size(size)
    rows, cols = (
        np.unique(
            taps_inside(size[i], out[i], weight.shape[2 + i], term.stride[i], term.padding[2 * i], term.dilation[i]),
            axis=0,
        ).astype(np.int64)
        for i in (0, 1)
    )
    # (M, patterns of rows, patterns of columns)
    lows, highs = (np.einsum("ry,cx,myx->mrc", rows, cols, end) for end in (least, most))
    low, high = lows.min(axis=(1, 2)), highs.max(axis=(1, 2))
    if term.region:  # where the term adds nothing
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    return Bounds(low=low, high=high)


def _results(layer: GemmLayer, sums: Bounds) -> Bounds:
    """Of what `layer` makes of its sums: requantisation never turns an order round, a table may."""
    low, high = (
        np.clip(round_shift(end * np.asarray(layer.mult, np.int64), layer.shift), *layer.clamp)
        for end in (sums.low, sums.high)
    )
    if layer.table is None:
        return Bounds(low=low, high=high)
    found = [layer.finished(np.arange(a, b + 1)) for a, b in zip(low, high, strict=True)]
    return Bounds(low=np.array([each.min() for each in found]), high=np.array([each.max() for each in found]))
