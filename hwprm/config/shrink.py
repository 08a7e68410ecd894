"""Gradual shrinking: how far, counted how, and how fast."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hwprm.core.errors import ConfigError

__all__ = ["COUNTS", "ShrinkConfig"]

COUNTS = ("all_weights", "conv_only", "macs", "cycles")


@dataclass(frozen=True, kw_only=True)
class ShrinkConfig:
    """Gradual removal of whole channels and columns while training, one global ranking over all layers."""

    #: What is counted: all_weights, conv_only (convolutions alone, as the P-RM paper does), macs (multiplications) or
    #: cycles (exact ones of an image, or of a batch, on the array that the section `array` describes).
    count: str = "all_weights"
    #: The count before by the count after.
    compression: float = 40.0
    #: Count at most this instead of `compression`.
    left: int | None = None
    #: Other counts that must fall too, each by a factor of its own: conv_only=60,macs=12. All reach theirs together.
    also: Mapping[str, float] | None = None
    #: The count (that which falls furthest) falls by this factor every epoch.
    rate: float = 1.45
    #: ... and by this one from `late_from` on, where little is left to choose from; none goes on with `rate`.
    late_rate: float | None = None
    #: By how much the count must have fallen for `late_rate`.
    late_from: float = 6.0
    #: Steps of the optimiser between two removals.
    every: int = 40
    #: Learning rate, constant while shrinking.
    lr: float = 1e-3
    #: Weight of the past in the moving average of the importance of channels and columns.
    memory: float = 0.95
    #: Take the optimiser's state from epoch to epoch, cut as the network is; without it every epoch starts anew.
    keep_moments: bool = False

    def __post_init__(self) -> None:
        if self.count not in COUNTS:
            raise ConfigError(f"shrink.count must be one of {', '.join(COUNTS)}, not {self.count!r}")
        for name, low, high in (
            ("compression", 1.0, 1e9),
            ("rate", 1.001, 100.0),
            ("lr", 1e-12, 1e3),
            ("memory", 0.0, 0.9999),
            ("late_from", 1.0, 1e9),
            ("late_rate", 1.001, 100.0),
        ):
            value = getattr(self, name)
            if not (name == "late_rate" and value is None) and not _within(value, low, high):
                raise ConfigError(f"shrink.{name} must be in {low:g}..{high:g}, not {value!r}")
        if not isinstance(self.keep_moments, bool):
            raise ConfigError(f"shrink.keep_moments must be true or false, not {self.keep_moments!r}")
        self._check_also()
        for name, value in (("every", self.every), ("left", self.left)):
            if name == "left" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"shrink.{name} must be a whole number of 1 or more, not {value!r}")

    def _check_also(self) -> None:
        for name, value in (self.also or {}).items():
            if name not in COUNTS or name == self.count:
                others = ", ".join(count for count in COUNTS if count != self.count)
                raise ConfigError(f"shrink.also can name {others} beside shrink.count, not {name!r}")
            if not _within(value, 1.0, 1e9):
                raise ConfigError(f"shrink.also: {name} must be in 1..1e+09, not {value!r}")

    @property
    def counts(self) -> tuple[str, ...]:
        """All that is counted, `count` first."""
        return (self.count, *(self.also or {}))


def _within(value: object, low: float, high: float) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return number and low <= float(value) <= high  # type: ignore[arg-type]  # `number` says it is one
