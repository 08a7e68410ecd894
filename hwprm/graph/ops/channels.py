"""Choice and order of channels: slices, splits, channel shuffles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph.rules.arrays import Array, BoolArray, Shape
from hwprm.graph.rules.imports import Import
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.node import Relabelling, Told
from hwprm.graph.rules.stages import Picked, Stage

__all__ = ["Channels"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Channels(Relabelling):
    """Channel ``indices[c]`` of the input is channel c of the output: slices, splits and channel shuffles."""

    indices: tuple[int, ...]

    offered = "channel slices"
    replaces = {}
    told = Told.PLAIN

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (len(self.indices), *inputs[0][1:])

    def check(self, inputs: Sequence[Shape]) -> None:
        if any(not 0 <= c < inputs[0][0] for c in self.indices):
            raise ModelError(f"{self.name!r} takes channels {self.indices} of a tensor {inputs[0]}; number them from 0")

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        return inputs[0][:, list(self.indices)]

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return inputs[0][:, list(self.indices)]

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        return (Links.chosen(self.indices),)

    def cut(self, out: BoolArray, ins: Sequence[BoolArray]) -> Channels:
        place = np.cumsum(ins[0]) - 1
        return replace(self, indices=tuple(int(place[self.indices[c]]) for c in np.flatnonzero(out)))

    def copies(self, shapes: Sequence[Shape]) -> bool:
        return self.indices == tuple(range(shapes[0][0]))

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (Picked(channels=tuple((0, c) for c in self.indices)),)

    def describe(self) -> str:
        return "choice of channels"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """Views of many spellings mean it, see `hwprm.frontend.places`."""
        return ()
