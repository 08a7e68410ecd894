"""The external memory that stalls are predicted for."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

from annotated_doc import Doc
from annotated_types import Interval, Unit

from hwprm.config.section import Section
from hwprm.core.errors import ConfigError

__all__ = ["MemoryConfig"]

#: Largest denominator of a bandwidth; the testbench counts in 32 bits.
CYCLES_MAX = 10_000


@dataclass(frozen=True, kw_only=True)
class MemoryConfig(Section, section="memory"):
    """A memory as designs with `array.weights = axi` see it; its counts are exact, not on average."""

    latency: Annotated[
        int,
        Interval(ge=1, le=1000000),
        Unit("cycles"),
        Doc("Clock cycles from the address of a burst to its first beat."),
    ] = 40
    bandwidth: Annotated[str, Doc("Beats per clock cycle: `1`, `0.5`, `2/3`.")] = "1"

    def agree(self) -> None:
        try:
            good = 0 < self.rate <= 1 and self.rate.denominator <= CYCLES_MAX
        except (ValueError, ZeroDivisionError):
            good = False
        if not good:
            raise ConfigError(
                f"memory.bandwidth must be above 0 and at most 1 beat per cycle, such as 1/2, not {self.bandwidth!r}"
            )

    @property
    def rate(self) -> Fraction:
        """The bandwidth as a number."""
        return Fraction(self.bandwidth)
