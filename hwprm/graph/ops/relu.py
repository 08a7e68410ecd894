"""ReLU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwprm.graph.rules.arrays import Array, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import Call, Import, Imported
from hwprm.graph.rules.node import Channelwise, Told
from hwprm.graph.rules.stages import Clamped, Stage

__all__ = ["Relu"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Relu(Channelwise):
    """``max(x, 0)``."""

    offered = "relu"
    replaces = {}
    told = Told.FOLLOWING

    def infer_shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def check(self, inputs: Sequence[Shape]) -> None:
        """It reads anything."""

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        return np.maximum(inputs[0], 0.0)

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return torch.nn.functional.relu(inputs[0])

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        return Constants(sources[0].known, np.maximum(sources[0].value, 0.0))

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (Clamped(low=0.0),)

    def describe(self) -> str:
        return "ReLU"

    def never_negative(self, inputs: Sequence[bool]) -> bool:
        return True

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        targets = ("aten.relu.default", "aten.relu_.default")
        return (Import(targets=targets, make=_relu, in_place="use ReLU(inplace=False)"),)


def _relu(call: Call) -> Imported:
    """ReLU of each sample, wherever it stands."""
    source = call.samples("self", zeros=True)
    return call.add(Relu(name=call.name(), inputs=(source.name,)), like=source)
