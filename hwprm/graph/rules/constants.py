"""Maps that are the same number everywhere, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwprm.graph.rules.arrays import Array, BoolArray

__all__ = ["Constants"]


@dataclass(frozen=True, eq=False)
class Constants:
    """Which channels ``(C,)`` of a tensor are constant, and their values (0 where they are not)."""

    known: BoolArray
    value: Array

    @classmethod
    def where(cls, known: BoolArray, value: Array) -> Constants:
        """Constants of `value` at the channels `known`."""
        return cls(known, np.where(known, value, 0.0))

    @classmethod
    def none(cls, channels: int) -> Constants:
        """No channel of `channels` is constant."""
        return cls(np.zeros(channels, dtype=bool), np.zeros(channels))
