"""Geometry of the accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_doc import Doc
from annotated_types import Interval

from hwprm.config.kinds import Positive, Side
from hwprm.config.section import Section
from hwprm.core.errors import ConfigError
from hwprm.core.limits import ACC_BITS_MAX

__all__ = ["ArrayConfig"]

#: What no AXI burst may cross.
PAGE_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class ArrayConfig(Section, section="array"):
    """The systolic array: `rows` output pixels by `cols` filters."""

    rows: Annotated[Side, Doc("Lanes: output pixels computed side by side.")] = 8
    cols: Annotated[Side, Doc("Filters computed side by side.")] = 8
    batch: Annotated[
        int,
        Interval(ge=1, le=256),
        Doc("Images that every layer runs over at once: lists and weights are shared, and small maps fill the lanes."),
    ] = 1
    multiplier_stages: Annotated[
        int,
        Interval(ge=1, le=4),
        Doc("Registers behind each multiplier; more raise the clock and add as many cycles per layer."),
    ] = 1
    pipeline: Annotated[
        Literal["short", "fast"],
        Doc(
            "How deep the other pipelines are: short, for fewest cycles; fast, for the highest clock, 15 cycles a "
            "layer more, and a few between pixel tiles whose lists are shorter still."
        ),
    ] = "short"
    acc_bits: Annotated[
        Annotated[int, Interval(ge=4, le=ACC_BITS_MAX)] | None,
        Doc("Accumulator width including the bias; None takes what the weights are proven to need."),
    ] = None
    order_filters: Annotated[
        bool, Doc("Put filters that use the same columns into one tile, where that saves cycles.")
    ] = True
    phases: Annotated[
        Literal["auto", "split", "off"],
        Doc(
            "Neighbouring pixels of a row as filters of their own, for depthwise layers above all: `auto` where that "
            "saves cycles, `split` also for the last filters of a layer alone where they fill no tile, or `off`."
        ),
    ] = "auto"
    weights: Annotated[
        Literal["rom", "axi"],
        Doc(
            "Where weights, column lists and descriptors lie: in ROMs on the chip, or in external memory behind an "
            "AXI4 read master."
        ),
    ] = "rom"
    axi_data_bits: Annotated[Literal[64, 128, 256, 512], Doc("Width of the AXI4 read data: 64, 128, 256 or 512.")] = 128
    axi_burst: Annotated[
        Literal[2, 4, 8, 16, 32, 64, 128, 256], Doc("Beats of an AXI4 burst: a power of two, 256 and 4 KiB at most.")
    ] = 32
    axi_outstanding: Annotated[
        Literal[1, 2, 4, 8, 16],
        Doc(
            "Bursts on their way at once: a power of two; times `axi_burst` it should cover the memory's latency in "
            "cycles."
        ),
    ] = 4
    axi_entry_buffer: Annotated[
        Positive | None,
        Doc(
            "List entries that stay on the chip with `axi`, rounded up to a power of two; None: twice the longest "
            "list that is used more than once."
        ),
    ] = None
    axi_weight_buffer: Annotated[Positive | None, Doc("Columns of weights that stay on the chip, alike.")] = None
    onchip_bits: Annotated[
        Positive | None, Doc("Most bits of memory on the chip; a design that needs more is refused.")
    ] = None

    def agree(self) -> None:
        if self.axi_burst * self.axi_data_bits > 8 * PAGE_BYTES:
            most = 8 * PAGE_BYTES // self.axi_data_bits
            raise ConfigError(
                f"array.axi_burst must be {most} or less beats of array.axi_data_bits ({self.axi_data_bits}), as no "
                f"burst crosses 4 KiB, not {self.axi_burst}"
            )
