"""Geometry of the accelerator."""

from __future__ import annotations

from dataclasses import dataclass

from hwprm.errors import ConfigError
from hwprm.numerics import ACC_BITS_MAX

__all__ = ["ArrayConfig"]


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """The systolic array: `rows` output pixels by `cols` filters."""

    #: Lanes: output pixels computed side by side; 1 or more, any value.
    rows: int = 8
    #: Filters computed side by side; 1 or more, any value.
    cols: int = 8
    #: Registers behind each multiplier; more raise the clock and add as many cycles per layer.
    multiplier_stages: int = 1
    #: Accumulator width including the bias; None takes what the weights are proven to need.
    acc_bits: int | None = None
    #: Put filters that use the same columns into one tile, where that saves cycles.
    order_filters: bool = True

    def __post_init__(self) -> None:
        for name, low, high in (("rows", 1, 256), ("cols", 1, 256), ("multiplier_stages", 1, 4)):
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"array.{name} must be in {low}..{high}, not {value!r}")
        if self.acc_bits is not None and not 4 <= self.acc_bits <= ACC_BITS_MAX:
            raise ConfigError(f"array.acc_bits must be in 4..{ACC_BITS_MAX}, not {self.acc_bits!r}")
        if not isinstance(self.order_filters, bool):
            raise ConfigError(f"array.order_filters must be true or false, not {self.order_filters!r}")
