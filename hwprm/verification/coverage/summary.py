"""How much of what every layer can do a verification's images reached, in plain numbers and names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from hwprm.verification.coverage.goals import Family
from hwprm.verification.coverage.measure import Reached

__all__ = ["FilterCount", "LayerCoverage", "coverage_line", "summarise"]

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class FilterCount:
    """How many of a layer's filters reach one `kind` of goal, and how many a bound keeps from it."""

    kind: str
    filters: int
    reached: int
    unreachable: int


@dataclass(frozen=True, kw_only=True)
class LayerCoverage:
    """The goals of a layer or an input: how many there are, and how many an image reached.

    `compared` of those reached were in images of which every layer is compared, not the outputs alone. `unreachable`
    ones are ruled out by a bound, `open` ones are neither; both by name, consecutive codes of a table in one.
    """

    name: str
    goals: int
    reached: int
    compared: int
    unreachable: tuple[str, ...]
    open: tuple[str, ...]
    #: How many goals these names stand for.
    ruled_out: int
    left: int
    filters: tuple[FilterCount, ...]


def coverage_line(layers: Iterable[tuple[int, int, int, int]]) -> str:
    """One line about `layers`, of each its goals, and those reached, unreachable and open."""
    goals, reached, unreachable, left = (sum(counts) for counts in zip((0, 0, 0, 0), *layers, strict=True))
    return f"coverage: {reached:,} of {goals:,} goals reached, {unreachable:,} unreachable, {left:,} open"


def summarise(families: Sequence[Family], reached: Reached, compared: Reached) -> tuple[LayerCoverage, ...]:
    """Of every layer what the images of `reached` reach, and those of `compared`, of which every layer is compared."""
    found: list[BoolArray] = [
        np.logical_or.reduce(hits, axis=0) for hits in (reached.goals, compared.goals, reached.filters)
    ]
    layers, goal, filter_ = [], 0, 0
    for name, mine in groupby(families, key=lambda family: family.owner):
        own = list(mine)
        count = sum(len(family.places) for family in own)
        here = slice(goal, goal + count)
        impossible = np.concatenate([family.impossible for family in own])
        names = [name for family in own for name in family.names]
        left = ~impossible & ~found[0][here]
        counts = []
        for family in own:
            if family.filters is not None:
                part = found[2][filter_ : filter_ + len(family.filters)]
                filter_ += len(part)
                counts.append(
                    FilterCount(
                        kind=family.kind,
                        filters=len(part),
                        reached=int(part.sum()),
                        unreachable=int(family.filters.sum()),
                    )
                )
        layers.append(
            LayerCoverage(
                name=name,
                goals=count,
                reached=int(found[0][here].sum()),
                compared=int(found[1][here].sum()),
                unreachable=_joined(names, impossible),
                open=_joined(names, left),
                ruled_out=int(impossible.sum()),
                left=int(left.sum()),
                filters=tuple(counts),
            )
        )
        goal += count
    return tuple(layers)


def _joined(names: Sequence[str], chosen: BoolArray) -> tuple[str, ...]:
    """The `chosen` names; of consecutive codes the first and the last."""
    joined: list[str] = []
    begun = last = -2
    for place in (int(place) for place in np.flatnonzero(chosen)):
        code = names[place].startswith("code ")
        if code and place == last + 1 and names[last].startswith("code "):
            joined[-1] = f"{names[begun]}..{names[place].removeprefix('code ')}"
        else:
            joined.append(names[place])
            begun = place
        last = place
    return tuple(joined)
