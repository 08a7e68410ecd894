"""Concatenation of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph.rules.arrays import Array, BoolArray, Shape
from hwprm.graph.rules.imports import Import
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.node import Relabelling, Told
from hwprm.graph.rules.stages import Picked, Stage

__all__ = ["Concat"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Relabelling):
    """The channels of its inputs, one input after the other; maps must agree in height and width."""

    offered = "cat"
    replaces = {}
    told = Told.JOINED

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])

    def check(self, inputs: Sequence[Shape]) -> None:
        if not inputs:
            raise ModelError(f"{self.name!r} joins 0 tensors; give it two or more")
        if any(len(shape) != len(inputs[0]) or shape[1:] != inputs[0][1:] for shape in inputs):
            raise ModelError(
                f"{self.name!r} joins the channels of tensors {', '.join(map(str, inputs))}, whose sizes differ"
            )

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        return np.concatenate(inputs, axis=1)

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return torch.cat(inputs, dim=1)

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        counts = [shape[0] for shape in shapes]
        firsts = accumulate(counts[:-1], initial=0)
        return tuple(Links.same(count, first) for count, first in zip(counts, firsts, strict=True))

    def cut(self, out: BoolArray, ins: Sequence[BoolArray]) -> Concat:
        return replace(self, inputs=tuple(name for name, mask in zip(self.inputs, ins, strict=True) if mask.any()))

    def copies(self, shapes: Sequence[Shape]) -> bool:
        return len(shapes) == 1

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (Picked(channels=tuple((i, c) for i, shape in enumerate(shapes) for c in range(shape[0]))),)

    def describe(self) -> str:
        return "concatenation"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """Joins along other axes mean it too, see `hwprm.frontend.views`."""
        return ()
