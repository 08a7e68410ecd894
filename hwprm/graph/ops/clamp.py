"""Clamps: ReLU6, hardtanh, clamp."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph.ops.relu import Relu
from hwprm.graph.rules.arrays import Array, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import Call, Import, Imported, RefusalError
from hwprm.graph.rules.node import Channelwise, Node, Told
from hwprm.graph.rules.stages import Clamped, Stage

__all__ = ["Clamp"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Clamp(Channelwise):
    """``min(max(x, low), high)``; None leaves that end open. ``low=0, high=6`` is ReLU6."""

    low: float | None = None
    high: float | None = None

    offered = "clamp"
    replaces = {}
    told = Told.FOLLOWING

    def infer_shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def check(self, inputs: Sequence[Shape]) -> None:
        if not all(end is None or np.isfinite(end) for end in (self.low, self.high)):
            raise ModelError(f"clamp {self.name!r} has ends {self.low} and {self.high}; give None for an open end")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ModelError(f"clamp {self.name!r} has low {self.low} above high {self.high}; swap them")

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        return self._clipped(inputs[0])

    def _clipped(self, x: Array) -> Array:
        low = -np.inf if self.low is None else self.low
        return np.clip(x, low, np.inf if self.high is None else self.high)

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return inputs[0] if self.low is None and self.high is None else torch.clamp(inputs[0], self.low, self.high)

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        return Constants.where(sources[0].known, self._clipped(sources[0].value))

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (Clamped(low=self.low, high=self.high),)

    def describe(self) -> str:
        low, high = ("−∞" if self.low is None else f"{self.low:g}"), ("∞" if self.high is None else f"{self.high:g}")
        return f"clamp {low}..{high}"

    def never_negative(self, inputs: Sequence[bool]) -> bool:
        return self.low is not None and self.low >= 0

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        names = ("clamp", "clamp_max", "clamp_min", "clip", "hardtanh", "relu6")
        targets = tuple(f"aten.{name}{place}.default" for name in names for place in ("", "_"))
        return (Import(targets=targets, make=_clamp, in_place="use inplace=False"),)


def _clamp(call: Call) -> Imported:
    """ReLU6, hardtanh and clamp with constant ends, of each sample, wherever it stands."""
    low, high = _ends(call)
    source = call.samples("self", zeros=(low or 0) <= 0 <= (high or 0))
    name = call.name()
    relu = (low, high) == (0, None)
    node: Node = Relu(name=name, inputs=(source.name,))
    if not relu:
        node = Clamp(name=name, inputs=(source.name,), low=low, high=high)
    return call.add(node, like=source)


def _ends(call: Call) -> tuple[float | None, float | None]:
    """Low and high end of a clamp; None where it is open."""
    if "relu6" in call.target:
        return 0.0, 6.0
    low, high = ("min_val", "max_val") if "hardtanh" in call.target else ("min", "max")
    ends = _number(call.args.get(low)), _number(call.args.get(high))
    if ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
        raise RefusalError(f"its low end {ends[0]} is above its high end {ends[1]}", "swap the two")
    return ends


def _number(value: Any) -> float | None:
    """An end of a clamp; None where it is open."""
    if value is not None and not isinstance(value, int | float):
        raise RefusalError("its ends are tensors", "clamp to two numbers")
    return None if value is None or math.isinf(value) else float(value)
