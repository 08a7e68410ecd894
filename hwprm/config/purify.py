"""P-RM: what network purification may remove (Ma et al., Algorithm 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hwprm.core.errors import ConfigError

__all__ = ["PURIFY_MODES", "PURIFY_SCALES", "PurifyConfig"]

PURIFY_MODES = ("auto", "absolute")
PURIFY_SCALES = ("quantile", "median")
INEXACT = ("keep", "refuse")


@dataclass(frozen=True, kw_only=True)
class PurifyConfig:
    """Thresholds of purification, or how to find them. All norms are squared, as in the paper."""

    #: auto (thresholds found against an accuracy floor) or absolute (th1, th3 and th4 as given, for all layers).
    mode: Literal["auto", "absolute"] = "auto"
    #: absolute: columns with a squared norm below this are removed; 0 removes none.
    th1: float = 0.0
    #: Channels with a smaller share of columns left, and below th3 too, are removed; 0 removes none.
    th2: float = 0.5
    #: absolute: importance (mean squared column norm) below which a channel may be removed; 0 removes none.
    th3: float = 0.0
    #: absolute: filters with a squared norm below this are removed; 0 removes none.
    th4: float = 0.0
    #: auto: thresholds are a quantile of each layer's norms, or a share of their median.
    scale: Literal["quantile", "median"] = "quantile"
    #: auto: points of validation accuracy that purification may cost.
    drop: float = 0.1
    #: auto: bisection steps for each of columns, channels and filters; each costs one accuracy measurement.
    steps: int = 6
    #: Training images that batch norms take new statistics from afterwards: what was removed no longer adds to the
    #: sums that they know. 0 keeps the old ones.
    recalibrate: int = 0
    #: Blank filters whose constant cannot be folded exactly: keep them, or refuse the network.
    inexact: Literal["keep", "refuse"] = "keep"

    def __post_init__(self) -> None:
        for name, high in (("th1", math.inf), ("th2", 1.0), ("th3", math.inf), ("th4", math.inf), ("drop", 100.0)):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not number or not 0 <= value <= high:
                limit = "0 or more" if high == math.inf else f"in 0..{high:g}"
                raise ConfigError(f"purify.{name} must be {limit}, not {value!r}")
        if not isinstance(self.steps, int) or isinstance(self.steps, bool) or not 1 <= self.steps <= 30:
            raise ConfigError(f"purify.steps must be a whole number in 1..30, not {self.steps!r}")
        if not isinstance(self.recalibrate, int) or isinstance(self.recalibrate, bool) or self.recalibrate < 0:
            raise ConfigError(f"purify.recalibrate must be a whole number of 0 or more, not {self.recalibrate!r}")
        for name, known in (("mode", PURIFY_MODES), ("scale", PURIFY_SCALES), ("inexact", INEXACT)):
            if getattr(self, name) not in known:
                raise ConfigError(f"purify.{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
