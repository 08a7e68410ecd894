"""Euclidean projections of a GEMM matrix onto structured and unstructured sparsity, numpy in and out.

A layer's weights are a matrix ``(M, K)``, ``K = C*KH*KW`` channel-major: rows are filters (or neurons), columns are
input positions (or inputs), ``group`` consecutive columns are an input channel. The nearest matrix with at most k
non-zero rows (columns, groups) keeps the k of greatest L2 norm and zeroes the rest; of equal norms the lower index
stays. (Ma et al., arXiv 1905.00136, section 2, constraint sets P and Q.) Unstructured, the k weights of greatest
magnitude stay, wherever they are. (Zhang et al., ECCV 2018, section 3.2.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Limits", "Support", "grouped_top", "project", "support", "top_k"]

BoolArray = NDArray[np.bool_]
#: Rows x rows taken x entries taken of a dynamic programme, at most; so many take half a second or so.
STATES = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How many rows, columns and groups of `group` columns may be non-zero; None is no limit.

    `weights` counts single weights, for unstructured pruning; it goes with no other limit.
    """

    rows: int | None = None
    cols: int | None = None
    groups: int | None = None
    #: Columns per group; divides the number of columns.
    group: int = 1
    weights: int | None = None

    @property
    def none(self) -> bool:
        """Whether everything may stay."""
        return (self.rows, self.cols, self.groups, self.weights) == (None,) * 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Support:
    """Which rows ``(M,)`` and columns ``(K,)`` stay; `mask` ``(M, K)``: which weights, all of these or fewer."""

    rows: BoolArray
    cols: BoolArray
    mask: BoolArray

    @classmethod
    def rectangle(cls, rows: BoolArray, cols: BoolArray) -> Self:
        """Every weight of `rows` and `cols` stays."""
        return cls(rows=rows, cols=cols, mask=rows[:, None] & cols[None, :])

    @classmethod
    def scattered(cls, mask: BoolArray) -> Self:
        """The weights of `mask` stay."""
        rows: BoolArray = np.logical_or.reduce(mask, axis=1)
        cols: BoolArray = np.logical_or.reduce(mask, axis=0)
        return cls(rows=rows, cols=cols, mask=mask)


def top_k(energy: NDArray[Any], count: int | None) -> BoolArray:
    """True at the `count` greatest entries of `energy` ``(n,)``, the lower index first among equals; None is all."""
    keep = np.zeros(len(energy), dtype=bool)
    keep[np.argsort(-energy, kind="stable")[: len(energy) if count is None else count]] = True
    return keep


def support(weight: NDArray[Any], limits: Limits) -> Support:
    """The weights that stay when `weight` ``(M, K)`` is projected onto `limits`.

    A single limit gives the exact Euclidean projection, and so do columns and groups together (`_columns`). Rows with
    any of them are a biclique problem (NP-hard): rows and columns are then chosen in turn, each given the other, until
    neither changes; the energy kept never falls, so that ends. Both starts (columns first, rows first) are tried and
    the better one, columns first if equal, is taken.
    """
    energy = np.square(weight, dtype=np.float64)
    if limits.weights is not None:
        return Support.scattered(top_k(energy.ravel(), limits.weights).reshape(weight.shape))
    if limits.rows is None:
        every = np.ones(len(weight), bool)
        return Support.rectangle(every, _columns(energy, every, limits))
    if limits.cols is None and limits.groups is None:
        return Support.rectangle(top_k(energy.sum(axis=1), limits.rows), np.ones(weight.shape[1], bool))
    everything = np.ones(len(weight), bool)
    starts = (everything, top_k(energy.sum(axis=1), limits.rows))
    found = [_alternate(energy, rows, limits) for rows in starts]
    kept = [float(energy[choice.mask].sum()) for choice in found]
    return found[0] if kept[0] >= kept[1] else found[1]


def project(weight: NDArray[Any], limits: Limits) -> NDArray[Any]:
    """`weight` ``(M, K)`` with everything outside `support` set to +0.0; same dtype."""
    return np.where(support(weight, limits).mask, weight, weight.dtype.type(0))


def _alternate(energy: NDArray[np.float64], rows: BoolArray, limits: Limits) -> Support:
    cols = _columns(energy, rows, limits)
    kept = -1.0
    while True:
        rows = top_k(energy[:, cols].sum(axis=1), limits.rows)
        cols = _columns(energy, rows, limits)
        now = float(energy[np.ix_(rows, cols)].sum())
        if now <= kept:
            return Support.rectangle(rows, cols)
        kept = now


def _columns(energy: NDArray[np.float64], rows: BoolArray, limits: Limits) -> BoolArray:
    """The columns with the greatest energy in `rows` together, as many and in as many groups as may stay."""
    column = energy[rows].sum(axis=0)
    if limits.groups is None:
        return top_k(column, limits.cols)
    if limits.cols is None:
        return np.repeat(top_k(column.reshape(-1, limits.group).sum(axis=1), limits.groups), limits.group)
    return grouped_top(column.reshape(-1, limits.group), limits.groups, limits.cols)


def grouped_top(energy: NDArray[np.float64], groups: int, count: int) -> BoolArray:
    """The `count` entries of `energy` ``(G, delta)`` in at most `groups` rows with the greatest sum: ``(G * delta,)``.

    With a price on every entry, a row is worth what its entries are above the price, and the best rows are those worth
    most (Lagrange): where some price leaves `count` entries, no choice is better. Where at one price there are too many
    and at the next too few, a dynamic programme over the rows decides, by how many rows and entries it has taken. It is
    exact; above `STATES` of its states the better of the rows at those two prices stays instead.
    """
    if groups >= len(energy):
        return top_k(energy.ravel(), count)
    candidates = [_inside(energy, rows, count) for rows in _rows_by_price(energy, groups, count)]
    if len(candidates) > 1 and energy.size * groups * count <= STATES * energy.shape[1]:
        candidates = [_by_programme(energy, groups, count)]
    return max(candidates, key=lambda keep: float(energy.ravel()[keep].sum()))


def _inside(energy: NDArray[np.float64], rows: BoolArray, count: int) -> BoolArray:
    """The `count` greatest entries of `rows`, or all that these have."""
    inside = np.repeat(rows, energy.shape[1])
    return top_k(np.where(inside, energy.ravel(), -1.0), count) & inside


def _rows_by_price(energy: NDArray[np.float64], groups: int, count: int) -> list[BoolArray]:
    """The best rows at the first price that leaves no more than `count` entries; where it leaves fewer, also those at
    the price before.
    """
    prices = np.unique(energy)

    def chosen(price: float) -> tuple[BoolArray, int]:
        rows = top_k(np.maximum(energy - price, 0.0).sum(axis=1), groups)
        return rows, int((energy[rows] > price).sum())

    low, high = 0, len(prices) - 1  # at the highest price nothing is left
    while low < high:
        middle = (low + high) // 2
        if chosen(prices[middle])[1] > count:
            low = middle + 1
        else:
            high = middle
    rows, left = chosen(prices[low])
    return [rows] if left == count or low == 0 else [rows, chosen(prices[low - 1])[0]]


def _by_programme(energy: NDArray[np.float64], groups: int, count: int) -> BoolArray:
    """best[g, k]: the most that g rows with k entries hold among the rows so far; choice[i, g, k] how many of i."""
    places, delta = energy.shape
    order = np.argsort(-energy, axis=1, kind="stable")
    sums = np.cumsum(np.take_along_axis(energy, order, axis=1), axis=1)
    count = min(count, groups * delta)
    best = np.full((groups + 1, count + 1), -np.inf)
    best[0, 0] = 0.0
    choice = np.zeros((places, groups + 1, count + 1), dtype=np.uint16)
    for i in range(places):
        new = best.copy()
        for take in range(1, min(delta, count) + 1):
            tried = best[:-1, : count + 1 - take] + sums[i, take - 1]
            better = tried > new[1:, take:]
            new[1:, take:][better] = tried[better]
            choice[i, 1:, take:][better] = take
        best = new
    group, left = int(np.argmax(best[:, count])), count
    keep = np.zeros(energy.shape, dtype=bool)
    for i in range(places - 1, -1, -1):
        take = int(choice[i, group, left])
        keep[i, order[i, :take]] = True
        left, group = left - take, group - (take > 0)
    return keep.ravel()
