"""A vector as a map of one pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwprm.core.errors import ModelError
from hwprm.graph.rules.arrays import Array, Shape
from hwprm.graph.rules.imports import Import
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.node import Relabelling, Told
from hwprm.graph.rules.stages import AsMap, Stage

__all__ = ["Unflatten"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Unflatten(Relabelling):
    """``(K,) -> (K, 1, 1)``: a vector as a map of one pixel."""

    offered = ""
    replaces = {}
    told = Told.PLAIN

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (inputs[0][0], 1, 1)

    def check(self, inputs: Sequence[Shape]) -> None:
        if len(inputs[0]) != 1:
            raise ModelError(f"{self.name!r} makes a map of a vector (K,), it reads {inputs[0]}")

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        return inputs[0][:, :, None, None]

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return inputs[0][:, :, None, None]

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        return (Links.same(shapes[0][0]),)

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (AsMap(),)

    def describe(self) -> str:
        return "vector as a map"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """Views of many spellings mean it, see `hwprm.frontend.places`."""
        return ()
