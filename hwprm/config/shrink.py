"""Gradual shrinking: how far, counted how, and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_doc import Doc
from annotated_types import Interval

from hwprm.config.kinds import LearningRate, Positive
from hwprm.config.section import Section
from hwprm.core.errors import ConfigError

__all__ = ["Count", "ShrinkConfig"]

Count = Literal["all_weights", "conv_only", "macs", "cycles"]
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
            "(multiplications) or cycles (exact ones of an image, or of a batch, on the array that the section "
            "`array` describes)."
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
        if self.also and self.count in self.also:
            raise ConfigError(f"shrink.also must name others beside shrink.count, not {self.count!r}; leave it out")

    @property
    def counts(self) -> tuple[str, ...]:
        """All that is counted, `count` first."""
        return (self.count, *(self.also or {}))
