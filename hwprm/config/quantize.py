"""Options of quantisation."""

from __future__ import annotations

from dataclasses import dataclass

from hwprm.core.errors import ConfigError

__all__ = ["QuantizeConfig"]


@dataclass(frozen=True, kw_only=True)
class QuantizeConfig:
    """Bit widths and how activation scales are found."""

    #: Bits of a weight; integers are symmetric, 8 -> -127..127.
    weight_bits: int = 8
    #: Bits of an activation and of an input pixel: 8 -> 0..255 where nothing is negative, as behind a ReLU, else
    #: -128..127.
    act_bits: int = 8
    #: Calibration images at most; the first ones of the calibration set.
    images: int = 1000
    #: Share of |activation| that must not saturate, in per cent; 100 takes the largest value seen.
    percentile: float = 100.0

    def __post_init__(self) -> None:
        for name, low, high in (("weight_bits", 2, 16), ("act_bits", 2, 16), ("images", 1, 1_000_000)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ConfigError(f"quantize.{name} must be in {low}..{high}, not {value!r}")
        value = self.percentile
        if not isinstance(value, int | float) or isinstance(value, bool) or not 50 <= value <= 100:
            raise ConfigError(f"quantize.percentile must be in 50..100, not {value!r}")
