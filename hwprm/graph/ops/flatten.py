"""A map as a vector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwprm.graph.rules.arrays import Array, Shape
from hwprm.graph.rules.imports import Import
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.node import Relabelling, Told
from hwprm.graph.rules.stages import AsVector, Stage

__all__ = ["Flatten"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Relabelling):
    """``(C, H, W) -> (C*H*W,)``, channel-major; a vector stays as it is."""

    offered = "flatten"
    replaces = {}
    told = Told.HIDDEN

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (math.prod(inputs[0]),)

    def check(self, inputs: Sequence[Shape]) -> None:
        """It reads anything."""

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        return inputs[0].reshape(len(inputs[0]), -1)

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return inputs[0].flatten(1)

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        return (Links.spread(shapes[0][0], math.prod(shapes[0][1:])),)

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (AsVector(),)

    def describe(self) -> str:
        return "flatten"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """Views of many spellings mean it, see `hwprm.frontend.places`."""
        return ()
