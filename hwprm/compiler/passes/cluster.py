"""Which filters share a tile: an order of the rows of a 0/1 matrix in which the unions of neighbours are small.

Rows are filters, columns are what they read; a tile of C neighbouring rows costs the weight of the union of its rows.
Finding the best order is a hard partition problem. A greedy pass fills tile after tile with the row that adds
least, then rows of different tiles change places while that pays. All sums are whole numbers that the floating point
type holds exactly, so every machine finds the same order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["tile_order", "union_weight"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.floating[Any]]

#: Multiply-accumulates that a search may take; about a second. Beyond, it looks at evenly spaced columns only.
WORK = 10**10
#: Share of the cost that a search must be able to save at best; dense layers with a few zeros are not worth one.
WORTH = 0.01


def tile_order(used: BoolArray, weight: IntArray, block: IntArray, cols: int) -> IntArray:
    """New position -> old row, for tiles of `cols` rows, so that the sum of the tiles' unions is small.

    used ``(M, K)``, weight ``(K,)`` of the columns. Rows keep to their `block` ``(M,)``: each of its runs of equal
    numbers is reordered within itself. The identity where nothing better was found.
    """
    same = np.arange(len(used))
    users, listed = used.sum(axis=0), _tiles_using(used, cols)
    if (listed - -(-users // cols)) @ weight < WORTH * (listed @ weight):  # u users fill ceil(u / cols) tiles at least
        return same
    # A column of one row costs the same in any order, and so does one that too few rows lack to spare a tile.
    smallest_tile = (len(used) - 1) % cols + 1
    chosen = np.flatnonzero((users > 1) & (len(used) - users >= smallest_tile))
    most = max(1, WORK // len(used) ** 2)
    if len(chosen) > most:
        chosen = chosen[np.arange(most) * len(chosen) // most]
    if not len(chosen):
        return same
    search = _Search(used[:, chosen], weight[chosen], block, cols)
    before = union_weight(used, weight, cols)
    order = search.greedy()
    if union_weight(used[order], weight, cols) < (1 - WORTH / 10) * before:  # else exchanges would not save much either
        order = search.exchange(order)
    return order if union_weight(used[order], weight, cols) < before else same


def union_weight(used: BoolArray, weight: IntArray, cols: int) -> int:
    """Sum over tiles of `cols` neighbouring rows of the weight of the columns that any of them uses."""
    return int(_tiles_using(used, cols) @ weight)


def _tiles_using(used: BoolArray, cols: int) -> IntArray:
    """``(K,)``: in how many tiles a row uses the column."""
    result: IntArray = np.logical_or.reduceat(used, np.arange(0, len(used), cols), axis=0).sum(axis=0, dtype=np.int64)
    return result


class _Search:
    def __init__(self, used: BoolArray, weight: IntArray, block: IntArray, cols: int) -> None:
        self.used, self.weight, self.block, self.cols = used, weight, block, cols
        #: A type that holds every sum of weights exactly.
        self.exact: np.dtype[np.floating[Any]] = np.dtype(np.float32 if weight.sum() < 1 << 24 else np.float64)
        #: Weight of column k if row m uses it, ``(K, M)``.
        self.columns: FloatArray = np.ascontiguousarray(used.T).astype(self.exact) * weight[:, None].astype(self.exact)
        self.size = self.columns.sum(axis=0)

    def greedy(self) -> IntArray:
        """Fill the tiles in turn: the smallest row first, then whatever adds least; of equals the larger row."""
        rows = len(self.used)
        size = self.size.astype(np.int64)
        scale = int(size.max()) + 1
        free = np.ones(rows, dtype=bool)
        order = np.empty(rows, dtype=np.int64)
        for place in range(rows):
            if place % self.cols == 0:
                union = np.zeros(self.used.shape[1], dtype=bool)
                shared = np.zeros(rows, dtype=np.int64)
            cost = (size - shared) * scale - (size if union.any() else 0)
            allowed = free & (self.block == self.block[place])
            row = int(np.where(allowed, cost, np.iinfo(np.int64).max).argmin())
            order[place], free[row] = row, False
            new = self.used[row] & ~union
            union |= new
            shared += self.columns[new].sum(axis=0).astype(np.int64)
        return order

    def exchange(self, order: IntArray) -> IntArray:
        """Let row after row change places with the row that saves most, until none does or the work is done."""
        rows = len(order)
        tile = np.empty(rows, dtype=np.int64)
        tile[order] = np.arange(rows) // self.cols
        count = np.stack([self.used[tile == t].sum(axis=0) for t in range(tile.max() + 1)])
        others = count[tile] > self.used  # what the tile uses without the row
        # with_row[a, b]: the union of a's tile once b stands in a's place.
        with_row = self._weight_of(others)[:, None] + self.size - others.astype(self.exact) @ self.columns
        union = self._weight_of(count > 0)
        row = unchanged = work = 0
        while unchanged < rows and work < WORK:
            saved = union[tile[row]] + union[tile] - with_row[row] - with_row[:, row]
            saved[(tile == tile[row]) | (self.block != self.block[row])] = 0
            other = int(saved.argmax())
            unchanged += 1
            if saved[other] > 0:
                work += self._swap(row, other, tile, count, with_row)
                union[tile[[row, other]]] = self._weight_of(count[tile[[row, other]]] > 0)
                unchanged = 0
            row = (row + 1) % rows
        return np.argsort(tile, kind="stable")

    def _swap(self, a: int, b: int, tile: IntArray, count: IntArray, with_row: FloatArray) -> int:
        """Swap rows `a` and `b`, changing the arrays in place; the multiply-accumulates that took."""
        change = np.flatnonzero(self.used[a] != self.used[b])
        members = np.flatnonzero((tile == tile[a]) | (tile == tile[b]))
        members = members[(members != a) & (members != b)]

        def others() -> BoolArray:
            result: BoolArray = count[np.ix_(tile[members], change)] > self.used[np.ix_(members, change)]
            return result

        before = others()
        step = self.used[b].astype(np.int64) - self.used[a]
        count[tile[a]] += step
        count[tile[b]] -= step
        grown = others().astype(self.exact) - before
        with_row[members] += (grown @ self.weight[change].astype(self.exact))[:, None] - grown @ self.columns[change]
        tile[[a, b]] = tile[[b, a]]
        with_row[[a, b]] = with_row[[b, a]]  # each now stands where the other stood, among the same others
        return len(members) * len(change) * len(tile)

    def _weight_of(self, used: BoolArray) -> FloatArray:
        result: FloatArray = used.astype(self.exact) @ self.weight.astype(self.exact)
        return result
