"""Limits as they are asked for, as those of what is counted."""

from __future__ import annotations

from collections.abc import Mapping

from hwprm.config.limits import Limit
from hwprm.pruning.channels.pattern import Meters

__all__ = ["in_counts"]


def in_counts(limits: Mapping[Limit, float], clock: float | None, meters: Meters) -> dict[str, int]:
    """`limits` by counts: images a second at `clock` MHz are cycles, of a batch those of all its images."""
    found: dict[str, int] = {}
    for name, number in limits.items():
        most = int(number)
        key: str = name
        if name == "images_per_second":
            assert clock is not None  # the options agree
            key, most = "cycles", int(clock * 1e6 * meters["cycles"].images / number)
        found[key] = min(most, found.get(key, most))
    return found
