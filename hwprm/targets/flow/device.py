"""One chip in one package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Device"]


@dataclass(frozen=True, kw_only=True)
class Device:
    """One chip in one package. `available` counts what it has by the keys of the family's resources, and ``io``."""

    name: str
    part: str
    available: Mapping[str, int]
    #: How the place and route tool is told of it.
    arguments: tuple[str, ...] = ()
    #: How synthesis is told of it, where it matters to that.
    synthesis: tuple[str, ...] = ()
    #: Clock in MHz that place and route aims at where none is asked for.
    goal: float = 100.0
