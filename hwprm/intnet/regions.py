"""Terms that add to a part of the map only: which of them meet in one accumulator."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

__all__ = ["meeting_terms"]

Quad = tuple[int, int, int, int]


def meeting_terms(regions: Sequence[Quad | None]) -> list[tuple[int, ...]]:
    """The sets of terms, by number, that add to one and the same pixel somewhere; None is a term for every pixel.

    A region is (top, bottom, left, right), ends exclusive. The terms for every pixel alone are always among the sets.
    """
    rows = sorted({end for region in regions if region for end in region[:2]})
    cols = sorted({end for region in regions if region for end in region[2:]})
    everywhere = tuple(i for i, region in enumerate(regions) if region is None)
    found = [tuple(i for i, region in enumerate(regions) if _covers(region, *pixel)) for pixel in product(rows, cols)]
    return list(dict.fromkeys([everywhere, *found]))


def _covers(region: Quad | None, y: int, x: int) -> bool:
    return region is None or (region[0] <= y < region[1] and region[2] <= x < region[3])
