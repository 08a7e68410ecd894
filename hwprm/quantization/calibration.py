"""`Calibration`: what images decide of an integer network, found on them or taken from where the weights were trained.

numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hwprm.config.quantize import QuantizeConfig
from hwprm.core.errors import ConfigError, ModelError
from hwprm.graph import Batch, Scale, by_input, scale_of
from hwprm.intnet import real_images
from hwprm.quantization.calibrate import activation_ranges, codes_of
from hwprm.quantization.lowering.fused import FusedNetwork

__all__ = ["Calibration", "InputFacts", "Trained", "calibrated"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class InputFacts:
    """Of an input on the calibration images: whether anything is negative, and the step of stored unsigned integers."""

    signed: bool
    #: Bits of the type in which it is stored, where that is an unsigned one, and the real value of a step of it.
    stored_bits: int | None
    step: float

    @classmethod
    def of(cls, stored: NDArray[np.generic], real: FloatArray, step: float) -> Self:
        """Those of `stored` images, whose values are `real`."""
        bits = 8 * stored.dtype.itemsize if stored.dtype.kind == "u" else None
        return cls(signed=bool(real.min() < 0), stored_bits=bits, step=step)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """``ranges`` as `hwprm.quantization.calibrate.activation_ranges` gives them, `inputs` by name."""

    ranges: Mapping[str, float]
    inputs: Mapping[str, InputFacts]
    #: Sums that are layers of their own, whatever the weights say.
    separate: frozenset[str] = frozenset()

    def covers(self, fused: FusedNetwork) -> bool:
        """Whether it has all that `fused` needs."""
        needed = {*fused.inputs, *(layer.name for layer in fused.layers)}
        needed |= {codes_of(layer.name) for layer in fused.layers if layer.functions}
        return needed <= self.ranges.keys() and set(fused.inputs) <= self.inputs.keys()


def calibrated(
    fused: FusedNetwork,
    images: Batch,
    input_scale: Scale,
    config: QuantizeConfig,
    known: Calibration | None = None,
) -> Calibration:
    """What the first `config.images` of the stored `images` say of `fused`; what is `known` goes before it.

    Raises ModelError when an input is zero throughout, DataError for unusable images.
    """
    if known is not None and known.covers(fused):
        return known
    shapes = {source: fused.shapes[source] for source in fused.inputs}
    first = {key: x[: config.images] for key, x in by_input(images, fused.inputs).items()}
    real = real_images(first, input_scale, shapes)
    ranges = activation_ranges(fused, real, config.percentile)
    for source in fused.inputs:
        if ranges[source] == 0:
            which = f" of input {source!r}" if len(fused.inputs) > 1 else ""
            raise ModelError(f"the calibration images{which} are all zero, so no scale can be found; give real images")
    inputs = {name: InputFacts.of(x, real[name], scale_of(input_scale, name)) for name, x in first.items()}
    if known is None:
        return Calibration(ranges=ranges, inputs=inputs)
    return replace(known, ranges=ranges | dict(known.ranges), inputs=inputs | dict(known.inputs))


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a model's history keeps of its training in integers: bits and calibration, `qat` in ``model.json``."""

    weight_bits: int
    act_bits: int
    layer_bits: Mapping[str, int]
    calibration: Calibration

    def over(self, config: QuantizeConfig) -> QuantizeConfig:
        """`config` with these bits, and each weight the nearest integer, as it was trained. Raises ConfigError when it
        asks for other bits; a default is no wish.
        """
        default = QuantizeConfig()
        for key in ("weight_bits", "act_bits", "layer_bits"):
            asked, own = getattr(config, key), getattr(self, key) or None
            if asked not in (own, getattr(default, key)):
                raise ConfigError(
                    f"quantize.{key} = {asked}, but the network was trained in integers with {own}; leave the option "
                    "out, or train the float network that it came from"
                )
        return replace(
            config,
            weight_bits=self.weight_bits,
            act_bits=self.act_bits,
            layer_bits=dict(self.layer_bits) or None,
            rounding="nearest",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, that `of` reads."""
        plain = asdict(self)
        plain["layer_bits"] = dict(self.layer_bits)
        return plain | {"calibration": plain["calibration"] | {"separate": sorted(self.calibration.separate)}}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """What `to_json` gave. Raises ModelError where something is missing."""
        try:
            found = plain["calibration"]
            calibration = Calibration(
                ranges={name: float(value) for name, value in found["ranges"].items()},
                inputs={name: InputFacts(**facts) for name, facts in found["inputs"].items()},
                separate=frozenset(found["separate"]),
            )
            bits = {key: plain[key] for key in ("weight_bits", "act_bits", "layer_bits")}
            return cls(**bits, calibration=calibration)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"the model's record of its training in integers cannot be read ({error})") from error
