"""Gradual shrinking: how far, counted how, and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from annotated_doc import Doc
from annotated_types import Interval

from hwprm.config.kinds import AboveZero, Clock, LearningRate, Positive
from hwprm.config.limits import HARDWARE_COUNTS, Count, Limit, check_limits, counted
from hwprm.config.section import Section
from hwprm.core.errors import ConfigError

__all__ = ["ShrinkConfig"]

#: A count before by the same after.
Factor = Annotated[float, Interval(ge=1, le=1e9)]
#: ... from epoch to epoch.
Fall = Annotated[float, Interval(ge=1.001, le=100)]


@dataclass(frozen=True, kw_only=True)
class ShrinkConfig(Section, section="shrink"):
    """Gradual removal of whole channels and columns while training, one global ranking over all layers."""

    count: Annotated[
        Count,
        Doc(
            "What is counted: all_weights, conv_only (convolutions alone, as the P-RM paper does), macs "
            "(multiplications), cycles (exact ones of an image, or of a batch, on the array that the section "
            "`array` describes), onchip_bits (of its memories), lut4 or bram (of `shrink.target`, by the size model)."
        ),
    ] = "all_weights"
    compression: Annotated[Factor, Doc("The count before by the count after.")] = 40.0
    left: Annotated[Positive | None, Doc("Count at most this instead of `compression`.")] = None
    also: Annotated[
        Mapping[Count, Factor] | None,
        Doc(
            "Other counts that must fall too, each by a factor of its own: conv_only=60,macs=12. All reach theirs "
            "together."
        ),
    ] = None
    limits: Annotated[
        Mapping[Limit, AboveZero] | None,
        Doc(
            "Other limits, in numbers: macs=2000000,cycles=4000,onchip_bits=300000,images_per_second=20000 (at "
            "`clock`), lut4=20000,bram=100 (of `target`). All are met together; what is met already costs nothing."
        ),
    ] = None
    clock: Annotated[Clock | None, Doc("Clock at which images_per_second is meant.")] = None
    target: Annotated[str | None, Doc("Device of lut4 and bram, such as ecp5-85k.")] = None
    rate: Annotated[Fall, Doc("The count (that which falls furthest) falls by this factor every epoch.")] = 1.45
    late_rate: Annotated[
        Fall | None,
        Doc("... and by this one from `late_from` on, where little is left to choose from; none goes on with `rate`."),
    ] = None
    late_from: Annotated[Factor, Doc("By how much the count must have fallen for `late_rate`.")] = 6.0
    every: Annotated[Positive, Doc("Steps of the optimiser between two removals.")] = 40
    lr: Annotated[LearningRate, Doc("Learning rate, constant while shrinking.")] = 1e-3
    memory: Annotated[
        float,
        Interval(ge=0, le=0.9999),
        Doc("Weight of the past in the moving average of the importance of channels and columns."),
    ] = 0.95
    keep_moments: Annotated[
        bool,
        Doc(
            "Take the optimiser's state from epoch to epoch, cut as the network is; without it every epoch starts anew."
        ),
    ] = False

    def agree(self) -> None:
        for name, table in (("also", self.also), ("limits", self.limits)):
            if table and self.count in table:
                raise ConfigError(
                    f"shrink.{name} must name others beside shrink.count, not {self.count!r}; leave it out"
                )
        if twice := sorted({*(self.also or {})} & {*(self.limits or {})}):
            raise ConfigError(f"shrink.also and shrink.limits both name {twice[0]}; keep one of them")
        check_limits("shrink", self.limits, self.counts, self.clock, self.target)

    @property
    def counts(self) -> tuple[str, ...]:
        """All that is counted, `count` first."""
        return tuple(dict.fromkeys((self.count, *(self.also or {}), *counted(self.limits))))

    @property
    def metered(self) -> tuple[str, ...]:
        """Those of `counts` that the compiler counts."""
        return tuple(name for name in self.counts if name in HARDWARE_COUNTS)
