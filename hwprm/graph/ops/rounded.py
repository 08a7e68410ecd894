"""Samples rounded to whole steps: what a quantised model says of its activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph.rules.arrays import Array, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import Call, Import, Imported, RefusalError
from hwprm.graph.rules.node import Channelwise, Told
from hwprm.graph.rules.stages import Clamped, Stage

__all__ = ["Rounded"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounded(Channelwise):
    """``step * clamp(round(x / step), low, high)``, halves to even: integers from `low` to `high` of a given `step`,
    which quantisation keeps.
    """

    step: float
    low: int
    high: int

    offered = ""
    replaces = {}
    told = Told.HIDDEN

    def infer_shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def check(self, inputs: Sequence[Shape]) -> None:
        if not (np.isfinite(self.step) and self.step > 0 and self.low <= 0 <= self.high and self.low < self.high):
            raise ModelError(
                f"{self.name!r} rounds to integers {self.low} .. {self.high} of the step {self.step}; give a positive "
                "step, and ends with 0 between"
            )

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        return self._rounded(inputs[0])

    def _rounded(self, x: Array) -> Array:
        result: Array = np.clip(np.rint(x / self.step), self.low, self.high) * self.step
        return result

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        """With the gradient of the clamp: rounding has none."""
        clamped = torch.clamp(inputs[0], self.low * self.step, self.high * self.step)
        rounded = torch.clamp(torch.round(inputs[0] / self.step), self.low, self.high) * self.step
        return clamped + (rounded - clamped).detach()

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        return Constants.where(sources[0].known, self._rounded(sources[0].value))

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        """The step is looked up where scales are chosen, see `hwprm.quantization.given`."""
        return (Clamped(low=self.low * self.step, high=self.high * self.step),)

    def describe(self) -> str:
        return f"integers {self.low}..{self.high}"

    def never_negative(self, inputs: Sequence[bool]) -> bool:
        return self.low == 0 or all(inputs)

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        own = ("default", "tensor_qparams")
        targets = [f"aten.fake_quantize_per_tensor_affine.{overload}" for overload in own]
        targets += [f"quantized_decomposed.quantize_per_tensor.{overload}" for overload in ("default", "tensor")]
        return (Import(targets=tuple(targets), make=_rounded),)


def _rounded(call: Call) -> Imported:
    """Quantised and back: ``fake_quantize(x, scale, zero_point, quant_min, quant_max)``."""
    key = "input" if "input" in call.args else "self"
    step, zero = (_number(call, name) for name in ("scale", "zero_point"))
    source = call.samples(key, zeros=True)
    low, high = (int(call.args[name]) - int(zero) for name in ("quant_min", "quant_max"))
    if not (step > 0 and low <= 0 <= high):
        raise RefusalError(
            f"its scale is {step:g} and its zero point {zero:g}", "calibrate the model, and quantise it again"
        )
    return call.add(Rounded(name=call.name(), inputs=(source.name,), step=step, low=low, high=high), like=source)


def _number(call: Call, key: str) -> float:
    given = call.args[key]
    if isinstance(given, int | float):
        return float(given)
    array = call.constant(key, key)
    if array.size != 1:
        raise RefusalError(f"its {key} has shape {array.shape}", "use one scale for all channels of an activation")
    return float(array.ravel()[0])
