"""Some rows and columns of a map, in equal steps."""

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
from hwprm.graph.rules.stages import Copied, Kernel, Stage
from hwprm.graph.rules.windows import needs_map

__all__ = ["Crop"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Crop(Relabelling):
    """``x[:, start : start + step * count : step]`` over rows and over columns: `rows` and `cols` are ``(start, step,
    count)``.
    """

    rows: tuple[int, int, int]
    cols: tuple[int, int, int]

    offered = ""
    replaces = {}
    told = Told.PLAIN

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (inputs[0][0], self.rows[2], self.cols[2])

    def check(self, inputs: Sequence[Shape]) -> None:
        needs_map("crop", self.name, inputs[0])
        for (start, step, count), size in zip((self.rows, self.cols), inputs[0][1:], strict=True):
            if start < 0 or step < 1 or count < 1 or start + step * (count - 1) >= size:
                raise ModelError(
                    f"crop {self.name!r} takes {count} of {size} from {start} on in steps of {step}; stay inside"
                )

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        return inputs[0][:, :, _taken(self.rows), _taken(self.cols)]

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return inputs[0][:, :, _taken(self.rows), _taken(self.cols)]

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        return (Links.same(shapes[0][0]),)

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        """A convolution whose filters copy one tap each, the kernel being as small as gives that many positions."""
        channels, *sizes = shapes[0]
        kernel = [
            max(start + 1, size - step * count + 1)
            for size, (start, step, count) in zip(sizes, (self.rows, self.cols), strict=True)
        ]
        weight = np.zeros((channels, 1, *kernel))
        weight[:, :, self.rows[0], self.cols[0]] = 1
        return (Copied(kernels=(Kernel(weight=weight, stride=(self.rows[1], self.cols[1]), groups=channels),)),)

    def describe(self) -> str:
        return "crop"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """Slices of many spellings mean it, see `hwprm.frontend.places`."""
        return ()


def _taken(axis: tuple[int, int, int]) -> slice:
    start, step, count = axis
    return slice(start, start + step * (count - 1) + 1, step)
