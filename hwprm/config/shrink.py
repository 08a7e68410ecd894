"""Gradual shrinking: how far, counted how, and how fast."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hwprm.core.errors import ConfigError

__all__ = ["COUNTS", "ShrinkConfig"]

COUNTS = ("all_weights", "conv_only", "macs")


@dataclass(frozen=True, kw_only=True)
class ShrinkConfig:
    """Gradual removal of whole channels and columns while training, one global ranking over all layers."""

    #: What is counted: all_weights, conv_only (convolutions alone, as the P-RM paper does) or macs (multiplications).
    count: str = "all_weights"
    #: The count before by the count after.
    compression: float = 40.0
    #: Count at most this instead of `compression`.
    left: int | None = None
    #: The count falls by this factor every epoch.
    rate: float = 1.45
    #: Steps of the optimiser between two removals.
    every: int = 40
    #: Learning rate, constant while shrinking.
    lr: float = 1e-3
    #: Weight of the past in the moving average of the importance of channels and columns.
    memory: float = 0.95

    def __post_init__(self) -> None:
        if self.count not in COUNTS:
            raise ConfigError(f"shrink.count must be one of {', '.join(COUNTS)}, not {self.count!r}")
        for name, low, high in (
            ("compression", 1.0, 1e9),
            ("rate", 1.001, 100.0),
            ("lr", 1e-12, 1e3),
            ("memory", 0.0, 0.9999),
        ):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not number or not low <= value <= high:
                raise ConfigError(f"shrink.{name} must be in {low:g}..{high:g}, not {value!r}")
        for name, value in (("every", self.every), ("left", self.left)):
            if name == "left" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"shrink.{name} must be a whole number of 1 or more, not {value!r}")
