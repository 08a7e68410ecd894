"""The network's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwprm.core.errors import ModelError
from hwprm.graph.rules.arrays import Array, BoolArray, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import Import
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.node import Holder, Node, Told
from hwprm.graph.rules.stages import Image, Stage

__all__ = ["Input"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Input(Node):
    """The image (or vector) that enters the network."""

    shape: Shape

    holder = Holder.NONE
    offered = ""
    replaces = {}
    told = Told.PLAIN

    def infer_shape(self, *inputs: Shape) -> Shape:
        return self.shape

    def check(self, inputs: Sequence[Shape]) -> None:
        if inputs:
            raise ModelError(f"input {self.name!r} reads {len(inputs)} tensors; it comes from outside and reads none")

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        raise ModelError(f"input {self.name!r} is given, not computed")

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        raise ModelError(f"input {self.name!r} is given, not computed")

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        return Constants.none(self.shape[0])

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        return ()

    def cut(self, out: BoolArray, ins: Sequence[BoolArray]) -> Node:
        """Inputs are never pruned."""
        return self

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (Image(),)

    def describe(self) -> str:
        return "input"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """Placeholders make it, no call does."""
        return ()
