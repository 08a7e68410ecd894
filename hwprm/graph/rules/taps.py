"""Maps whose rows and columns are weighted sums of a few rows and columns of another one, as convolutions that each
make a part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from hwprm.graph.rules.arrays import Array, IntArray, Quad
from hwprm.graph.rules.stages import Kernel

__all__ = ["Taps", "passes"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Taps:
    """What one axis of a map is made of: position j of ``weights[j, i]`` times sample ``start[j] + i``, for every i.

    start ``(out,)``, weights ``(out, count)``; `size` is how many samples there are.
    """

    start: IntArray
    weights: Array
    size: int

    @classmethod
    def of(cls, taken: IntArray, size: int) -> Taps:
        """Those of an axis whose position j is sample ``taken[j]``."""
        return cls(start=taken, weights=np.ones((len(taken), 1)), size=size)

    @property
    def matrix(self) -> Array:
        """The axis as a matrix ``(out, size)``."""
        found = np.zeros((len(self.start), self.size))
        for i, column in enumerate(self.weights.T):
            held = column != 0
            np.add.at(found, (np.flatnonzero(held), self.start[held] + i), column[held])
        return found

    @property
    def whole(self) -> bool:
        """Whether it is the axis itself."""
        matrix = self.matrix
        return matrix.shape == (self.size, self.size) and bool((matrix == np.eye(self.size)).all())


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    """Positions first .. last - 1, which are alike: what one convolution of this kernel and padding makes."""

    first: int
    last: int
    weight: Array
    before: int
    after: int


def passes(rows: Taps, cols: Taps, channels: int) -> tuple[tuple[Kernel, ...], ...]:
    """The kernels, depthwise over `channels`, whose sum is the map of `rows` x `cols`; of rows and then of columns
    where that multiplies less.
    """
    down, across = _runs(rows), _runs(cols)
    high, wide = len(rows.start), len(cols.start)
    taps = [sum(np.count_nonzero(run.weight) for run in side) for side in (down[1], across[1])]
    if taps[0] * taps[1] * wide <= taps[0] * cols.size + taps[1] * wide:
        return (_kernels(down, across, channels),)
    still_rows, still_cols = (_runs(Taps.of(np.arange(size), size)) for size in (high, cols.size))
    return _kernels(down, still_cols, channels), _kernels(still_rows, across, channels)


def _kernels(
    down: tuple[int, tuple[_Run, ...]], across: tuple[int, tuple[_Run, ...]], channels: int
) -> tuple[Kernel, ...]:
    """One kernel for every part of the map that is made alike."""
    parts = list(product(down[1], across[1]))
    return tuple(
        Kernel(
            weight=np.broadcast_to(np.outer(y.weight, x.weight), (channels, 1, len(y.weight), len(x.weight))).copy(),
            stride=(down[0], across[0]),
            padding=(y.before, y.after, x.before, x.after),
            groups=channels,
            region=_region(y, x) if len(parts) > 1 else None,
        )
        for y, x in parts
    )


def _region(y: _Run, x: _Run) -> Quad:
    return (y.first, y.last, x.first, x.last)


def _runs(taps: Taps) -> tuple[int, tuple[_Run, ...]]:
    """The stride at which an axis takes the fewest runs, and these."""
    steps = {1, *(int(step) for step in np.diff(taps.start) if step > 1)}
    found = {stride: tuple(_alike(taps, stride)) for stride in sorted(steps)}
    stride = min(found, key=lambda step: (len(found[step]), step))
    return stride, found[stride]


def _alike(taps: Taps, stride: int) -> Iterator[_Run]:
    """The runs of an axis whose convolutions move by `stride`."""
    out = len(taps.start)
    keys: list[tuple[int, tuple[float, ...]]] = []
    for j in range(out):
        used = np.flatnonzero(taps.weights[j]).tolist()
        first, last = used[0], used[-1]
        keys.append((int(taps.start[j]) + first - j * stride, tuple(taps.weights[j, first : last + 1].tolist())))
    ends = [0, *(j for j in range(1, out) if keys[j] != keys[j - 1]), out]
    for first, last in pairwise(ends):
        offset, held = keys[first]
        before, shift = max(0, -offset), max(0, offset)
        # Taps of zero make the kernel so long that it has as many positions as the axis.
        length = max(shift + len(held), taps.size + before - (out - 1) * stride)
        weight = np.zeros(length)
        weight[shift : shift + len(held)] = held
        after = (out - 1) * stride + length - taps.size - before
        yield _Run(first=first, last=last, weight=weight, before=before, after=after)
