"""Nearest upsampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwprm.graph.rules.arrays import Array, Pair, Shape
from hwprm.graph.rules.imports import Import
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.node import Relabelling, Told
from hwprm.graph.rules.stages import Repeated, Stage
from hwprm.graph.rules.text import sizes
from hwprm.graph.rules.windows import needs_map

__all__ = ["Upsample"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Upsample(Relabelling):
    """Nearest neighbour by integers: every pixel fills ``factors[0]`` rows and ``factors[1]`` columns."""

    factors: Pair

    offered = "nearest upsampling"
    replaces = {
        "upsample_linear1d": "use nearest upsampling: Upsample(scale_factor=2, mode='nearest')",
    }
    told = Told.PLAIN

    def infer_shape(self, *inputs: Shape) -> Shape:
        c, h, w = inputs[0]
        return (c, h * self.factors[0], w * self.factors[1])

    def check(self, inputs: Sequence[Shape]) -> None:
        needs_map("upsampling", self.name, inputs[0])

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        return inputs[0].repeat(self.factors[0], axis=2).repeat(self.factors[1], axis=3)

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return inputs[0].repeat_interleave(self.factors[0], 2).repeat_interleave(self.factors[1], 3)

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        return (Links.same(shapes[0][0]),)

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (Repeated(factors=self.factors),)

    def describe(self) -> str:
        return f"upsampling {sizes(self.factors)}"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """Whatever repeats rows and columns means it, see `hwprm.frontend.places`."""
        return ()
