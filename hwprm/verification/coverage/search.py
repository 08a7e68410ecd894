"""The images of a verification: which of the stored ones, and which others, reach the goals of a network.

Candidates are the first stored images, images of extreme and of random integers, and then, round by round, images that
are driven towards goals still open: by the signs of the weights from a filter back to the image (`steer`), and by
mixing images between which a sum passes the wanted integer. Candidates are counted, not timed, and drawn from one seed:
the same network, images and seed, the same choice on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle.images import extreme_images
from hwprm.intnet import GemmLayer, IntegerNetwork
from hwprm.verification.coverage.bounds import network_bounds
from hwprm.verification.coverage.goals import Family, Filter, filters_of, goals_of, taps_of
from hwprm.verification.coverage.measure import Reached, measure
from hwprm.verification.coverage.steer import Wish, directions

__all__ = ["Candidates", "evaluations", "search"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Candidates are as many as keep multiply-accumulates and values (`VALUE_WORK` each) below, which a core does within a
#: second. Of large networks they are a `PART` of the images that a verification computes anyway, within these ends.
WORK, MOST, VALUE_WORK = 10**9, 384, 30
PART, FEWEST, LARGE = 4, 4, 24
#: Most images of random integers, and as many of random ends of the range, among the first candidates; and their share.
RANDOM, SHARE = 6, 16
#: Most images of a round that are driven, and the steps of each; pairs that are mixed, and the images between a pair.
DRIVEN, STEPS, PAIRS, LINKS = 6, 2, 3, 8
#: Goals for which a round looks for a pair.
TRIED = 32
#: Rounds without a new goal after which the others are given up.
PATIENCE = 16
#: Kinds that want a large sum, or a small one.
ENDS = {"above": 1, "highest": 1, "below": -1, "lowest": -1}
SIGNED = {"+": 1, "-": -1}
#: Kinds of goals that images are driven to.
DRIVABLE = (*ENDS, "code", "decided at", "adds", "product")


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """Images ``(n, ...)``, what they reach of the `families`, and how many of them, the first, were stored."""

    families: tuple[Family, ...]
    images: IntArray
    reached: Reached
    stored: int

    def order(self, most: int) -> list[int]:
        """The images that are worth running, best first: the stored one that reaches most, then always the one that
        reaches most goals, or else most filters, that none before it does; for filters alone no more than `most`.
        """
        goals, filters = self.reached.goals, self.reached.filters
        left = np.ones(goals.shape[1], bool), np.ones(filters.shape[1], bool)
        chosen: list[int] = []
        while True:
            gain = (goals & left[0]).sum(axis=1) * (filters.shape[1] + 1) + (filters & left[1]).sum(axis=1)
            own = gain[: self.stored]
            best = int(own.argmax()) if own.any() and not chosen else int(gain.argmax())
            if gain[best] == 0 or (gain[best] <= filters.shape[1] and len(chosen) >= most):
                return chosen
            chosen.append(best)
            left = left[0] & ~goals[best], left[1] & ~filters[best]


def evaluations(net: IntegerNetwork, count: int) -> int:
    """How many candidates of `net` are computed at most for a verification of `count` images."""
    work = 0
    for layer in net.layers:
        height, width = net.conv_size(layer)
        work += height * width * sum(term.weight.size for term in layer.terms)
        work += VALUE_WORK * (height * width * len(layer.bias) + int(np.prod(net.tensor[layer.name].shape)))
    return min(MOST, max(FEWEST, min(LARGE, count // PART), WORK // work))


def search(net: IntegerNetwork, stored: IntArray, count: int, seed: int) -> Candidates:
    """Candidates for a verification of `net` with `count` images: the first that are `stored`, and what is found.

    `stored` ``(n, ...)`` as in `hwprm.intnet.images`. Same arguments, same candidates.
    """
    budget = evaluations(net, count)
    return _Search(net, stored[: max(1, budget // 3)], seed, budget).run()


class _Search:
    def __init__(self, net: IntegerNetwork, stored: IntArray, seed: int, budget: int) -> None:
        self._net, self._budget, self._stored = net, budget, len(stored)
        self._low, self._high = net.image_limits
        self._families = goals_of(net)
        self._layers = {layer.name: layer for layer in net.layers}
        sums = network_bounds(net)[1]
        self._filters = {layer.name: filters_of(layer, sums[layer.name]) for layer in net.layers}
        #: Numbers of images that stand side by side in a chain; and ends of the sums that reach a goal.
        self._links: list[tuple[int, int]] = []
        self._wanted: dict[tuple[str, str, str], tuple[IntArray, IntArray]] = {}
        self._possible = ~np.concatenate([family.impossible for family in self._families])
        self._rng = rng = np.random.default_rng(seed)
        count = max(1, min(RANDOM, budget // SHARE))
        drawn = rng.integers(self._low, self._high, (count, *self._low.shape), endpoint=True)
        shares = rng.random((count, *(1 for _ in self._low.shape)))
        tossed = np.where(rng.random((count, *self._low.shape)) < shares, self._low, self._high)
        first = np.concatenate([stored, extreme_images((self._low, self._high)), drawn, tossed])[:budget]
        self._images = first.astype(np.int64)
        self._reached = measure(net, self._families, self._images)

    def run(self) -> Candidates:
        idle = number = 0
        open_now = self._open()
        while idle < PATIENCE and open_now.any():
            made = list(self._driven(number))
            made += self._mixed(number, len(self._images) + len(made))
            room = self._budget - len(self._images)
            if not made or room <= 0:
                break
            self._take(np.stack(made)[:room])
            before, open_now = open_now, self._open()
            idle = 0 if (before & ~open_now).any() else idle + 1
            number += 1
        return Candidates(families=self._families, images=self._images, reached=self._reached, stored=self._stored)

    def _open(self) -> BoolArray:
        return self._possible & ~self._reached.goals.any(axis=0)

    def _take(self, images: IntArray) -> None:
        self._images = np.concatenate([self._images, images])
        self._reached = self._reached + measure(self._net, self._families, images)

    def _goals(self) -> Iterator[tuple[Family, str]]:
        """Family and place of every goal that is open."""
        still, first = self._open(), 0
        for family in self._families:
            yield from ((family, place) for i, place in enumerate(family.places) if still[first + i])
            first += len(family.places)

    def _driven(self, number: int) -> Iterator[IntArray]:
        """Images on their way to where a wish is fulfilled, every step of them."""
        goals = [(family, place) for family, place in self._goals() if family.kind in DRIVABLE]
        turn = [goals[(number * DRIVEN + i) % len(goals)] for i in range(min(DRIVEN, len(goals)))]
        found = [wished for family, place in turn if (wished := self._wished(family, place, number))]
        if not found:
            return
        images, mine = np.stack([self._images[start] for start, _ in found]), [wishes for _, wishes in found]
        for _ in range(STEPS):
            towards = directions(self._net, images, mine)
            images = np.where(towards > 0, self._high, np.where(towards < 0, self._low, images))
            yield from images

    def _wished(self, family: Family, place: str, number: int) -> tuple[int, list[Wish]] | None:
        """The image to begin with, and what is wished of it; another filter in every round. None for other goals."""
        layer = self._layers.get(family.owner)
        if layer is None:
            return None
        anywhere = int(self._rng.integers(len(self._images)))
        if family.kind in ENDS or family.kind == "code":
            sign = ENDS[family.kind] if family.kind in ENDS else 1 if 2 * int(place) > sum(layer.clamp) else -1
            one, best = self._nearest(layer, family, sign, number // 2)
            return (anywhere if number % 2 else best), self._wishes(layer, one, sign)
        if family.kind == "decided at":
            return anywhere, self._decision(layer, place, int(self._rng.integers(len(layer.bias))))
        if family.kind in ("adds", "product") and layer.residual:
            used = np.flatnonzero(layer.residual.mult > 0)
            one = int(used[self._rng.integers(len(used))])
            parts = [(layer.residual.source, layer.residual.channel[one])]
            if layer.residual.gate:
                parts.append((layer.residual.gate.source, layer.residual.gate.channel[one]))
            wishes = [
                wish
                for (source, channel), sign in zip(parts, place, strict=True)
                if source in self._layers
                for wish in self._wishes(self._layers[source], int(channel), SIGNED[sign])
            ]
            return (anywhere, wishes) if wishes else None
        return None

    def _wishes(self, layer: GemmLayer, one: int, sign: int) -> list[Wish]:
        """That a sum in the middle of a filter's map moves; where it is pooled and has to shrink, all of its window."""
        if layer.pool is None:
            height, width = self._net.conv_size(layer)
            return [Wish(layer=layer.name, filter=one, pixel=(height // 2, width // 2), sign=sign)]
        inside = taps_of(self._net, layer)
        row, col = inside.shape[0] // 2, inside.shape[1] // 2
        taps = np.argwhere(inside[row, col])
        return [self._tap(layer, one, (row, col), tap, sign) for tap in (taps if sign < 0 else taps[:1])]

    def _tap(self, layer: GemmLayer, one: int, window: tuple[int, int], tap: IntArray, sign: int) -> Wish:
        assert layer.pool
        pool = layer.pool
        y, x = (window[i] * pool.stride[i] - pool.padding[2 * i] + int(tap[i]) * pool.dilation[i] for i in (0, 1))
        return Wish(layer=layer.name, filter=one, pixel=(y, x), sign=sign)

    def _nearest(self, layer: GemmLayer, family: Family, sign: int, number: int) -> tuple[int, int]:
        """The filter that comes nearest to an end of the clamp, in later rounds the next ones; and its best image."""
        possible = np.arange(len(layer.bias)) if family.filters is None else np.flatnonzero(~family.filters)
        sums = self._reached.sums[layer.name]
        best = sums.high.max(axis=0) if sign > 0 else -sums.low.min(axis=0)
        reach = best[possible] * layer.mult[possible] / np.exp2(layer.shift[possible])
        ranked = possible[np.argsort(-reach, kind="stable")]
        one = int(ranked[number % len(ranked)])
        values = sums.high[:, one] if sign > 0 else -sums.low[:, one]
        return one, int(values.argmax())

    def _decision(self, layer: GemmLayer, place: str, one: int) -> list[Wish]:
        """That of the middle window in which it has a choice the tap at `place` wins, and all others lose."""
        inside = taps_of(self._net, layer)
        y, x = map(int, place.split(","))
        windows = np.argwhere(inside[:, :, y, x] & (inside.sum(axis=(2, 3)) > 1))
        row, col = (int(i) for i in windows[len(windows) // 2])
        return [
            self._tap(layer, one, (row, col), tap, 1 if tuple(tap) == (y, x) else -1)
            for tap in np.argwhere(inside[row, col])
        ]

    def _mixed(self, number: int, first: int) -> Iterator[IntArray]:
        """Images between two of which one's largest sum of a filter lies below what a goal wants, the other's above it.

        `first` is the number that the first of them will have.
        """
        goals = [(family, place) for family, place in self._goals() if family.owner in self._layers]
        found = 0
        for i in range(min(len(goals), TRIED)):
            family, place = goals[(number * PAIRS + i) % len(goals)]
            if found == PAIRS:
                return
            if pair := self._between(self._layers[family.owner], family, place, fine=len(goals) <= TRIED):
                yield from self._chain(*pair)
                numbers = [pair[0], *range(first + LINKS * found, first + LINKS * (found + 1)), pair[1]]
                self._links += list(pairwise(numbers))
                found += 1

    def _chain(self, one: int, other: int) -> Iterator[IntArray]:
        """Images from one to another: more and more integers are the other's; of few that differ, all step by step."""
        begin, end = self._images[one], self._images[other]
        differ = begin != end
        few, order = int(differ.sum()) <= LINKS, self._rng.random(begin.shape)
        edges = np.quantile(order[differ], np.arange(1, LINKS + 1) / (LINKS + 1))
        for link, edge in enumerate(edges, 1):
            if few:
                yield begin + (end - begin) * link // (LINKS + 1)
            else:
                yield np.where(differ & (order < edge), end, begin)

    def _between(self, layer: GemmLayer, family: Family, place: str, *, fine: bool) -> tuple[int, int] | None:
        """Two images between which some filter's largest sum passes what is wanted: the nearest below and above, or, to
        go on in a `fine` chain, of those that stand side by side in one the two that differ least.
        """
        low, high = self._ends(layer, family.kind, place)
        values = self._reached.sums[layer.name].high
        below, above = (values < low) & (low <= high), (values > high) & (low <= high)
        links = [link for link in self._links if fine and max(link) < len(values)]
        one, other = np.array(links, np.int64).reshape(-1, 2).T
        crossed = np.flatnonzero(((below[one] & above[other]) | (above[one] & below[other])).any(axis=1))
        gaps = [int(np.abs(self._images[one[i]] - self._images[other[i]]).sum()) for i in crossed]
        if open_gaps := [(gap, int(i)) for gap, i in zip(gaps, crossed, strict=True) if gap > 1]:
            nearest = min(open_gaps)[1]
            return int(one[nearest]), int(other[nearest])
        both = np.flatnonzero(below.any(axis=0) & above.any(axis=0))
        if not len(both):
            return None
        mine = int(self._rng.choice(both))
        under, over = np.flatnonzero(below[:, mine]), np.flatnonzero(above[:, mine])
        return int(under[values[under, mine].argmax()]), int(over[values[over, mine].argmin()])

    def _ends(self, layer: GemmLayer, kind: str, place: str) -> tuple[IntArray, IntArray]:
        """Least and largest sum of each filter that reaches a goal ``(M,)``; the least is the larger one where none."""
        key = layer.name, kind, place
        if key not in self._wanted:
            ends = [_wanted(one, layer, kind, place) for one in self._filters[layer.name]]
            low, high = np.array(ends, np.int64).T
            self._wanted[key] = low, high
        return self._wanted[key]


def _wanted(one: Filter, layer: GemmLayer, kind: str, place: str) -> tuple[int, int]:
    """Ends of the sums of a filter that reach a goal of these kinds; of other kinds none."""
    if kind not in ("lowest", "highest", "code"):
        return 0, -1
    value = int(place) if kind == "code" else layer.clamp[kind == "highest"]
    return one.rounding_to(value, value)
