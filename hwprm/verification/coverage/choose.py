"""Which images a verification runs, in which order, and what those that it ran reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle.images import extreme_images, random_images
from hwprm.intnet import IntegerNetwork
from hwprm.verification.coverage.goals import Family, goals_of
from hwprm.verification.coverage.measure import Reached, measure
from hwprm.verification.coverage.search import evaluations, search
from hwprm.verification.coverage.summary import LayerCoverage, summarise

__all__ = ["Chosen", "as_stored", "choose", "ranges"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """Images ``(n, ...)`` in the order they run, and what the first of them, as many as were looked at, reach.

    `groups` are how many of them came from where, in that order: ``("chosen", 18), ("stored", 82)``; `own`
    ``(chosen,)`` is which of the chosen ones are the bundle's.
    """

    images: IntArray
    groups: tuple[tuple[str, int], ...]
    families: tuple[Family, ...]
    reached: Reached
    own: BoolArray

    def told(self, count: int) -> str:
        """Where the first `count` images came from: ``18 chosen (5 of them stored), 82 stored``."""
        counts = [(name, last - first) for name, first, last in ranges(self.groups, count)]
        chosen = int(self.own[:count].sum())
        return ", ".join(f"{n} {name}" + (f" ({chosen} of them stored)" * (name == "chosen")) for name, n in counts)

    def coverage(self, count: int, compared: int) -> tuple[LayerCoverage, ...]:
        """What the first `count` images reach, and the first `compared` of them, of which every layer is compared."""
        return summarise(self.families, self.reached.first(count), self.reached.first(compared))


def ranges(groups: Sequence[tuple[str, int]], count: int) -> list[tuple[str, int, int]]:
    """Of the first `count` images where they came from, and the numbers of the first and of the one behind the last."""
    found, first = [], 0
    for name, size in groups:
        last = min(first + size, count)
        if last > first:
            found.append((name, first, last))
        first += size
    return found


def choose(net: IntegerNetwork, stored: IntArray, count: int, seed: int) -> Chosen:
    """Images for a verification of `net` with `count` of them, or more: those that `search` finds worth running, best
    first, then all others that are `stored`.

    `stored` ``(n, ...)`` as in `hwprm.intnet.images`. Same arguments, same images.
    """
    found = search(net, stored, count, seed)
    order = found.order(-(-count // 2))[:count]
    rest = [number for number in range(len(stored)) if number not in set(order) or number >= found.stored]
    looked = [number for number in rest if number < found.stored]
    groups = [("chosen", found.images[order]), ("stored", stored[rest])]
    if (more := count - len(order) - len(rest)) > 0:
        groups.append(("random", random_images(more, net.image_limits, seed)))
    return Chosen(
        images=np.concatenate([images for _, images in groups]),
        groups=tuple((name, len(images)) for name, images in groups),
        families=found.families,
        reached=found.reached.of([*order, *looked]),
        own=np.array(order) < found.stored,
    )


def as_stored(net: IntegerNetwork, stored: IntArray, count: int, seed: int) -> Chosen:
    """The images `stored` as they come, and where `count` are more extreme and random ones behind them."""
    groups = [("stored", stored)]
    if (more := count - len(stored)) > 0:
        extreme = extreme_images(net.image_limits)
        groups.append(("random", np.concatenate([extreme, random_images(more, net.image_limits, seed)])[:more]))
    images = np.concatenate([images for _, images in groups])
    families = goals_of(net)
    return Chosen(
        images=images,
        groups=tuple((name, len(images)) for name, images in groups),
        families=families,
        reached=measure(net, families, images[: evaluations(net, count)]),
        own=np.zeros(0, bool),
    )
