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

__all__ = ["Limits", "Support", "project", "support", "top_k"]

BoolArray = NDArray[np.bool_]


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

    A single limit gives the exact Euclidean projection. Several together are a biclique problem (NP-hard): rows and
    columns are then chosen in turn, each given the other, until neither changes; the energy kept never falls, so
    that ends. Both starts (columns first, rows first) are tried and the better one, columns first if equal, is taken.
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
    """Columns by their energy in `rows`: the best groups first, then the best columns inside them."""
    column = energy[rows].sum(axis=0)
    if limits.groups is not None:
        inside = np.repeat(top_k(column.reshape(-1, limits.group).sum(axis=1), limits.groups), limits.group)
        # Columns of groups that went lose even against empty ones that stayed.
        column = np.where(inside, column, -1.0)
        return top_k(column, limits.cols) & inside
    return top_k(column, limits.cols)
