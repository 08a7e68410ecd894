"""Options of quantisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_doc import Doc
from annotated_types import Interval

from hwprm.config.kinds import Bits
from hwprm.config.section import Section

__all__ = ["QuantizeConfig"]


@dataclass(frozen=True, kw_only=True)
class QuantizeConfig(Section, section="quantize"):
    """Bit widths and how activation scales are found."""

    weight_bits: Annotated[Bits, Doc("Bits of a weight; integers are symmetric, 8 -> -127..127.")] = 8
    act_bits: Annotated[
        Bits,
        Doc(
            "Bits of an activation and of an input pixel: 8 -> 0..255 where nothing is negative, as behind a ReLU, "
            "else -128..127."
        ),
    ] = 8
    images: Annotated[
        int, Interval(ge=1, le=1000000), Doc("Calibration images at most; the first ones of the calibration set.")
    ] = 1000
    percentile: Annotated[
        float,
        Interval(ge=50, le=100),
        Doc("Share of |activation| that must not saturate, in per cent; 100 takes the largest value seen."),
    ] = 100.0
