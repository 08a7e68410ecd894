"""Numbers that a network keeps to: its weights, its multiplications, and what it takes of the hardware."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from hwprm.core.errors import ConfigError

__all__ = ["HARDWARE_COUNTS", "Count", "Limit", "check_limits", "counted"]

#: Counts that the size model has for a device.
Size = Literal["lut4", "bram"]
#: ... that the compiler has for an array.
HardwareCount = Literal["cycles", "onchip_bits", Size]
Count = Literal["all_weights", "conv_only", "macs", HardwareCount]
#: What can be limited in numbers; images a second are a limit of cycles.
Limit = Literal[Count, "images_per_second"]
SIZES: tuple[str, ...] = get_args(Size)
HARDWARE_COUNTS: tuple[str, ...] = get_args(HardwareCount)


def counted(limits: Mapping[Limit, float] | None) -> tuple[str, ...]:
    """What is counted for `limits`, in their order."""
    return tuple(dict.fromkeys("cycles" if name == "images_per_second" else name for name in limits or {}))


def check_limits(
    section: str, limits: Mapping[Limit, float] | None, counts: Iterable[str], clock: float | None, target: str | None
) -> None:
    """Raise ConfigError, naming the `section`, for images a second without a clock and cells without a device."""
    if "images_per_second" in (limits or {}) and clock is None:
        raise ConfigError(f"{section}.limits: images_per_second is meant at a clock; set {section}.clock, in MHz")
    if target is None and (sizes := [name for name in counts if name in SIZES]):
        raise ConfigError(f"{section} counts {sizes[0]}, which is that of a device; set {section}.target")
