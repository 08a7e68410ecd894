"""Sum of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph.rules.arrays import Array, BoolArray, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import Import
from hwprm.graph.rules.node import Channelwise, Told
from hwprm.graph.rules.stages import Stage, Sum

__all__ = ["Add"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Channelwise):
    """Sum of two or more tensors of one shape; a tensor named twice counts twice."""

    offered = "add"
    replaces = {}
    told = Told.JOINED

    def infer_shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def check(self, inputs: Sequence[Shape]) -> None:
        if len(inputs) < 2:
            raise ModelError(f"{self.name!r} joins {len(inputs)} tensors; give it two or more")
        if any(shape != inputs[0] for shape in inputs):
            raise ModelError(f"{self.name!r} adds tensors {', '.join(map(str, inputs))}, whose sizes differ")

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        result: Array = np.sum(inputs, axis=0)
        return result

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return sum(inputs[1:], start=inputs[0])

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        known: BoolArray = np.all([source.known for source in sources], axis=0)
        return Constants.where(known, np.sum([source.value for source in sources], axis=0))

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (Sum(),)

    def describe(self) -> str:
        return "sum"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """Sums, differences and scaled sums become several nodes, see `hwprm.frontend.arithmetic`."""
        return ()
