"""Average pools as sums of convolutions: one term for each part of the map whose windows are alike. numpy only."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import UnsupportedError
from hwprm.graph import Windows
from hwprm.graph.rules.stages import Kernel, Mean
from hwprm.quantization.lowering.fused import FusedLayer
from hwprm.quantization.lowering.views import FusedTerm, View, terms_of

__all__ = ["average_layer", "common_multiple", "divided_weights", "too_large"]

#: Weights, zeros included, that an average of several tensors may have as one layer.
MOST_WEIGHTS = 2**22
#: Candidates for a common multiple, the largest that the weights allow.
CANDIDATES = 4096


def average_layer(name: str, mean: Mean, view: View, counts: dict[str, int]) -> FusedLayer:
    """The layer `name` that is the `mean` of `view`, whose tensors have `counts` channels.

    Raises UnsupportedError when a window lies wholly in the padding.
    """
    channels = len(view.channels)
    rows, cols = (_side(*side) for side in zip((mean.rows, mean.cols), view.size, strict=True))
    terms: list[FusedTerm] = []
    divisors = set()
    for y, x in product(rows.runs, cols.runs):
        divisor = y.divisor * x.divisor
        if divisor < 1:
            raise UnsupportedError(f"average pool {name!r} has a window of nothing but padding; use less padding")
        divisors.add(divisor)
        kernel = Kernel(
            weight=np.full((channels, 1, y.length, x.length), 1.0 / divisor),
            stride=(rows.stride, cols.stride),
            padding=(y.before, y.after, x.before, x.after),
            groups=channels,
            region=(y.first, y.last, x.first, x.last) if len(rows.runs) * len(cols.runs) > 1 else None,
        )
        terms += terms_of(view, counts, kernel)
    one_tensor = len(view.sources) == 1
    exact = tuple(sorted(divisors)) if one_tensor else ()
    return FusedLayer(name=name, terms=tuple(terms), bias=np.zeros(channels), divisors=exact)


def too_large(mean: Mean, view: View, counts: dict[str, int]) -> bool:
    """Whether `average_layer` would take more than `MOST_WEIGHTS`, nearly all of them zeros: a filter of a view of
    several tensors has weights for every channel of all of them.
    """
    if len(view.sources) == 1:
        return False
    rows, cols = (_side(*side) for side in zip((mean.rows, mean.cols), view.size, strict=True))
    kernels = sum(run.length for run in rows.runs) * sum(run.length for run in cols.runs)
    return len(view.channels) * sum(counts[name] for name in view.sources) * kernels > MOST_WEIGHTS


@dataclass(frozen=True, kw_only=True)
class _Run:
    """Windows first .. last - 1, alike: one convolution with this kernel length and padding makes them all."""

    first: int
    last: int
    length: int
    divisor: int
    before: int
    after: int


@dataclass(frozen=True, kw_only=True)
class _Side:
    """One axis of an average: `stride` of the convolutions, and the runs of windows that share one."""

    stride: int
    runs: tuple[_Run, ...]


def _side(windows: Windows, size: int) -> _Side:
    out, stride = len(windows.start), windows.stride
    before = np.arange(out) * stride - windows.start  # never negative: no two windows are further apart
    alike = list(zip(before.tolist(), windows.length.tolist(), windows.divisor.tolist(), strict=True))
    runs = []
    for first, last in _runs(alike):
        pad, length, divisor = alike[first]
        after = (out - 1) * stride + length - size - pad
        runs.append(_Run(first=first, last=last, length=length, divisor=divisor, before=pad, after=max(0, after)))
    return _Side(stride=stride, runs=tuple(runs))


def _runs(items: Sequence[object]) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of every run of equal neighbours."""
    first = 0
    for i in range(1, len(items) + 1):
        if i == len(items) or items[i] != items[first]:
            yield first, i
            first = i


def common_multiple(divisors: Sequence[int], weight_max: int) -> int:
    """The integer T for which the weights ``T / divisor``, rounded, are nearest to their real ratios.

    The least common multiple where ``T / divisor`` then is at most `weight_max` for all: exact. Otherwise, among the
    `CANDIDATES` largest T that the smallest divisor allows, the first of the smallest relative error.
    """
    exact, largest = math.lcm(*divisors), weight_max * min(divisors)
    if exact <= largest:
        return exact
    candidates = np.arange(max(1, largest - CANDIDATES + 1), largest + 1)
    error = np.zeros(len(candidates))
    for divisor in divisors:
        real = candidates / divisor
        error = np.maximum(error, np.abs(np.floor(real + 0.5) / real - 1))
    return int(candidates[np.argmin(error)])


def divided_weights(weight: NDArray[np.float64], multiple: int) -> NDArray[np.int64]:
    """``floor(multiple / d + 1/2)`` for every weight ``1 / d`` of an integer d, and 0 for 0."""
    divisors = np.rint(1 / np.where(weight == 0, 1.0, weight))
    return np.where(weight == 0, 0, np.floor(multiple / divisors + 0.5)).astype(np.int64)
