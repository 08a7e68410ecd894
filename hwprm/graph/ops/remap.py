"""Any rows and columns of a map, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph.rules.arrays import Array, Shape
from hwprm.graph.rules.imports import Import
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.node import Relabelling, Told
from hwprm.graph.rules.stages import Copied, Stage
from hwprm.graph.rules.taps import Taps, passes
from hwprm.graph.rules.windows import needs_map

__all__ = ["Remap"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Remap(Relabelling):
    """``x[:, rows][:, :, cols]``: reflected, replicated and circular padding, flips, rolls, uneven nearest resizing."""

    rows: tuple[int, ...]
    cols: tuple[int, ...]

    offered = ""
    replaces = {}
    told = Told.PLAIN

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (inputs[0][0], len(self.rows), len(self.cols))

    def check(self, inputs: Sequence[Shape]) -> None:
        needs_map("choice of pixels", self.name, inputs[0])
        for what, taken, size in (("row", self.rows, inputs[0][1]), ("column", self.cols, inputs[0][2])):
            if not taken or min(taken) < 0 or max(taken) >= size:
                raise ModelError(f"{self.name!r} takes {what}s {taken} of {size}; stay inside")

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        return inputs[0][:, :, list(self.rows)][:, :, :, list(self.cols)]

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return inputs[0][:, :, list(self.rows)][:, :, :, list(self.cols)]

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        return (Links.same(shapes[0][0]),)

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        """Copies of one tap each: one for each run of rows, and of columns, that are as far from where they come."""
        channels, *sizes = shapes[0]
        rows, cols = (Taps.of(np.array(t), size) for t, size in zip((self.rows, self.cols), sizes, strict=True))
        return tuple(Copied(kernels=kernels) for kernels in passes(rows, cols, channels))

    def describe(self) -> str:
        return "rows and columns"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """Paddings, flips and rolls mean it, see `hwprm.frontend.places`."""
        return ()
