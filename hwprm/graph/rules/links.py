"""Which channels of its inputs an operator makes each of its own of; what pruning follows through a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hwprm.graph.rules.arrays import BoolArray, IntArray
from hwprm.graph.rules.constants import Constants

__all__ = ["Links"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Links:
    """Channel ``out[k]`` of a tensor is made of channel ``source[k]`` of an input, and of its other links' channels.

    out, source ``(links,)``; a channel may stand in several. Where links are `free`, the operator can do without a
    channel that it makes although the source keeps what it is made of; otherwise both stay or both go.
    """

    out: IntArray
    source: IntArray
    free: bool = False

    @classmethod
    def none(cls) -> Links:
        """Every channel is made of all of the input: none depends on another's place."""
        return cls(out=np.zeros(0, np.int64), source=np.zeros(0, np.int64))

    @classmethod
    def same(cls, channels: int, first: int = 0) -> Links:
        """Channel c of the input is channel ``first + c``."""
        return cls(out=first + np.arange(channels), source=np.arange(channels))

    @classmethod
    def spread(cls, channels: int, times: int) -> Links:
        """Channel c of the input is the channels ``c * times`` .. ``(c + 1) * times - 1``."""
        return cls(out=np.arange(channels * times), source=np.repeat(np.arange(channels), times))

    @classmethod
    def gathered(cls, channels: int, times: int) -> Links:
        """Channel c is made of the channels ``c * times`` .. ``(c + 1) * times - 1`` of the input."""
        return cls(out=np.repeat(np.arange(channels), times), source=np.arange(channels * times))

    @classmethod
    def chosen(cls, indices: Iterable[int]) -> Links:
        """Channel c is channel ``indices[c]`` of the input, which may be chosen again or not at all."""
        source = np.fromiter(indices, np.int64)
        return cls(out=np.arange(len(source)), source=source, free=True)

    def backward(self, need: BoolArray, channels: int) -> BoolArray:
        """``(channels,)``: which of the input's channels the channels `need` ``(C,)`` are made of."""
        found = np.zeros(channels, dtype=bool)
        found[self.source[need[self.out]]] = True
        return found

    def bind(self, out: BoolArray, source: BoolArray) -> None:
        """Keep in `out`, in place, what is made of channels in `source`, unless the links are free."""
        if not self.free:
            out[self.out[source[self.source]]] = True

    def block(self) -> int | None:
        """How many channels in a row each channel of the input becomes, in order; None when it is not like that."""
        times = len(self.out) // max(1, len(np.unique(self.source)))
        first = self.out[:1].sum()
        run = np.array_equal(self.out, first + np.arange(len(self.out)))
        even = np.array_equal(self.source, np.repeat(np.arange(len(self.out) // max(1, times)), times))
        return times if run and even and len(self.out) and not self.free else None

    @staticmethod
    def constants(links: Sequence[Links], sources: Sequence[Constants], channels: int) -> Constants:
        """Constants of a tensor whose samples are samples of what it is linked to: where all of these are the same."""
        known, seen = np.ones(channels, dtype=bool), np.zeros(channels, dtype=bool)
        low, high = np.full(channels, np.inf), np.full(channels, -np.inf)
        for link, source in zip(links, sources, strict=True):
            np.logical_and.at(known, link.out, source.known[link.source])
            np.minimum.at(low, link.out, source.value[link.source])
            np.maximum.at(high, link.out, source.value[link.source])
            seen[link.out] = True
        return Constants.where(known & seen & (low == high), low)
