"""Global widths: how much of which cost may stay, and how the channels' importance is found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hwprm.core.errors import ConfigError

__all__ = ["WIDTH_COSTS", "WidthsConfig"]

WIDTH_COSTS = ("macs", "weights", "cycles")


@dataclass(frozen=True, kw_only=True)
class WidthsConfig:
    """How many channels each layer keeps under one cost for the whole network; docs/widths.md explains the method."""

    #: What is counted: macs (multiplications per image), weights, or cycles (the exact cycles per image of the array).
    cost: Literal["macs", "weights", "cycles"] = "macs"
    #: Share of the network's cost that may stay; read only where `budget` is None.
    keep: float = 0.5
    #: Cost that may stay, in the units of `cost`.
    budget: int | None = None
    #: Channels of every layer in multiples of this (the nearest, one at least, never above the layer), so that
    #: filters fill whole tiles of the array.
    round_to: int = 1
    #: Training images that the statistics of the channels are taken on, and of batch norms after a cut; 2 or more.
    images: int = 512
    #: Steps of the optimisation of the gates; 0 leaves them at 1, and the variances alone decide.
    steps: int = 300
    #: Images of one step; 2 or more.
    batch: int = 64
    #: Learning rate of the gates.
    lr: float = 0.1
    #: Weight lambda of the gates' cost in the loss; None finds one at each step, so that the gates end near the budget.
    strength: float | None = None
    #: Narrow the model right away as well, for `hwprm train` to go on with.
    cut: bool = False
    #: Seed of the choice of images.
    seed: int = 0
    #: CPU threads; results are reproducible bit for bit at the same number.
    threads: int = 1

    def __post_init__(self) -> None:
        if self.cost not in WIDTH_COSTS:
            raise ConfigError(f"widths.cost must be one of {', '.join(WIDTH_COSTS)}, not {self.cost!r}")
        limits = {"round_to": (1, 10_000), "images": (2, 1 << 31), "steps": (0, 1_000_000), "batch": (2, 1 << 20)}
        limits |= {"seed": (0, (1 << 63) - 1), "threads": (1, 1024)}
        if self.budget is not None:
            limits["budget"] = (1, (1 << 63) - 1)
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ConfigError(f"widths.{name} must be a whole number in {low}..{high}, not {value!r}")
        if not _number(self.keep) or not 0 < self.keep <= 1:
            raise ConfigError(f"widths.keep must be above 0 and at most 1, not {self.keep!r}")
        if not _number(self.lr) or not 0 < self.lr <= 1e3:
            raise ConfigError(f"widths.lr must be above 0 and at most 1000, not {self.lr!r}")
        if self.strength is not None and (not _number(self.strength) or self.strength < 0):
            raise ConfigError(f"widths.strength must be 0 or more, or left out, not {self.strength!r}")
        if not isinstance(self.cut, bool):
            raise ConfigError(f"widths.cut must be true or false, not {self.cut!r}")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
