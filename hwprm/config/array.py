"""Geometry of the accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hwprm.core.errors import ConfigError
from hwprm.core.numerics import ACC_BITS_MAX

__all__ = ["ArrayConfig"]

#: What no AXI burst may cross.
PAGE_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """The systolic array: `rows` output pixels by `cols` filters."""

    #: Lanes: output pixels computed side by side; 1 or more, any value.
    rows: int = 8
    #: Filters computed side by side; 1 or more, any value.
    cols: int = 8
    #: Images that every layer runs over at once: lists and weights are shared, and small maps fill the lanes.
    batch: int = 1
    #: Registers behind each multiplier; more raise the clock and add as many cycles per layer.
    multiplier_stages: int = 1
    #: How deep the other pipelines are: short, for fewest cycles; fast, for the highest clock, 15 cycles a layer
    #: more, and a few between pixel tiles whose lists are shorter still.
    pipeline: Literal["short", "fast"] = "short"
    #: Accumulator width including the bias; None takes what the weights are proven to need.
    acc_bits: int | None = None
    #: Put filters that use the same columns into one tile, where that saves cycles.
    order_filters: bool = True
    #: Neighbouring pixels of a row as filters of their own, for depthwise layers above all: `auto` where that saves
    #: cycles, or `off`.
    phases: Literal["auto", "off"] = "auto"
    #: Where weights, column lists and descriptors lie: in ROMs on the chip, or in external memory behind an AXI4
    #: read master.
    weights: Literal["rom", "axi"] = "rom"
    #: Width of the AXI4 read data: 64, 128, 256 or 512.
    axi_data_bits: int = 128
    #: Beats of an AXI4 burst: a power of two, 256 and 4 KiB at most.
    axi_burst: int = 32
    #: Bursts on their way at once: a power of two; times `axi_burst` it should cover the memory's latency in cycles.
    axi_outstanding: int = 4
    #: List entries that stay on the chip with `axi`, rounded up to a power of two; None: twice the longest list that
    #: is used more than once.
    axi_entry_buffer: int | None = None
    #: Columns of weights that stay on the chip, alike.
    axi_weight_buffer: int | None = None
    #: Most bits of memory on the chip; a design that needs more is refused.
    onchip_bits: int | None = None

    def __post_init__(self) -> None:
        ranges = (("rows", 1, 256), ("cols", 1, 256), ("batch", 1, 256), ("multiplier_stages", 1, 4))
        for name, low, high in ranges:
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"array.{name} must be in {low}..{high}, not {value!r}")
        if self.acc_bits is not None and not 4 <= self.acc_bits <= ACC_BITS_MAX:
            raise ConfigError(f"array.acc_bits must be in 4..{ACC_BITS_MAX}, not {self.acc_bits!r}")
        if not isinstance(self.order_filters, bool):
            raise ConfigError(f"array.order_filters must be true or false, not {self.order_filters!r}")
        for name, words in (
            ("weights", ("rom", "axi")),
            ("pipeline", ("short", "fast")),
            ("phases", ("auto", "off")),
        ):
            if getattr(self, name) not in words:
                raise ConfigError(f"array.{name} must be {words[0]} or {words[1]}, not {getattr(self, name)!r}")
        self._check_axi()

    def _check_axi(self) -> None:
        bursts = tuple(1 << i for i in range(9))
        for name, allowed in (
            ("axi_data_bits", (64, 128, 256, 512)),
            ("axi_burst", tuple(beats for beats in bursts[1:] if beats * self.axi_data_bits <= 8 * PAGE_BYTES)),
            ("axi_outstanding", bursts[:5]),
        ):
            if getattr(self, name) not in allowed:
                choice = ", ".join(map(str, allowed))
                raise ConfigError(f"array.{name} must be one of {choice}, not {getattr(self, name)!r}")
        for name in ("axi_entry_buffer", "axi_weight_buffer", "onchip_bits"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ConfigError(f"array.{name} must be 1 or more, not {value!r}")
