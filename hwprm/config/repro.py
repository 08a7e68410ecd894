"""Which rows of the papers' tables are reproduced, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwprm.core.errors import ConfigError

__all__ = ["ReproConfig"]


@dataclass(frozen=True, kw_only=True)
class ReproConfig:
    """The verb `repro`."""

    #: Print the rows that there are recipes for, and stop.
    list: bool = False
    #: Seeds to run the recipe with, one after the other; none takes the recipe's own.
    seeds: tuple[int, ...] | None = None
    #: Public checkpoint of the dense network, to start from instead of training it; [weights] says what it expects.
    weights: Path | None = None

    def __post_init__(self) -> None:
        if self.seeds is None:
            return
        if not self.seeds or any(seed < 0 for seed in self.seeds) or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(
                f"repro.seeds must be whole numbers of 0 or more, each once, such as 0,1,2, not {self.seeds!r}"
            )
