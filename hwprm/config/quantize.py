"""Options of quantisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from annotated_doc import Doc
from annotated_types import Interval

from hwprm.config.kinds import Bits
from hwprm.config.section import Section
from hwprm.core.errors import ConfigError

__all__ = ["QuantizeConfig"]


@dataclass(frozen=True, kw_only=True)
class QuantizeConfig(Section, section="quantize"):
    """Bit widths and how activation scales are found."""

    weight_bits: Annotated[Bits, Doc("Bits of a weight; integers are symmetric, 8 -> -127..127.")] = 8
    layer_bits: Annotated[
        Mapping[str, Bits] | None,
        Doc(
            "Bits of the weights of single layers, at most `weight_bits`, which the memory keeps for all: "
            "conv2=3,fc1=2. none gives every layer `weight_bits`."
        ),
    ] = None
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

    rounding: Annotated[
        Literal["nearest", "compensated"],
        Doc(
            "How weights become integers: each the `nearest`, or `compensated`, where those rounded later make up for "
            "what the earlier ones lost on the calibration images (GPTQ); worth most with few bits. Training in "
            "integers starts from these, and rounds to the nearest."
        ),
    ] = "nearest"

    def agree(self) -> None:
        for name, bits in (self.layer_bits or {}).items():
            if bits > self.weight_bits:
                raise ConfigError(
                    f"quantize.layer_bits: {name} must have at most weight_bits = {self.weight_bits} bits, not {bits}"
                )

    def of_layer(self, name: str) -> QuantizeConfig:
        """These options with `weight_bits` those of the layer `name`."""
        bits = (self.layer_bits or {}).get(name)
        return self if bits is None else replace(self, weight_bits=bits, layer_bits=None)
