"""Average pooling to a size that need not divide the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwprm.graph.ops.avg_pool2d import AvgPool2d
from hwprm.graph.rules.arrays import Array, Pair, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import NO_BATCH, Call, Import, Imported, RefusalError
from hwprm.graph.rules.node import Channelwise, Told
from hwprm.graph.rules.stages import Mean, Stage, Windows
from hwprm.graph.rules.text import sizes
from hwprm.graph.rules.windows import needs_map

__all__ = ["AdaptiveAvgPool2d"]


@dataclass(frozen=True, kw_only=True, eq=False)
class AdaptiveAvgPool2d(Channelwise):
    """Mean over ``OH x OW`` windows that share the map out: window i starts at ``floor(i * H / OH)`` and ends before
    ``ceil((i + 1) * H / OH)``; columns alike.
    """

    size: Pair

    offered = "adaptive_avg_pool2d"
    replaces = {}
    told = Told.PLAIN

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (inputs[0][0], *self.size)

    def check(self, inputs: Sequence[Shape]) -> None:
        needs_map("average pool", self.name, inputs[0])

    def windows(self, shape: Shape) -> tuple[Windows, Windows]:
        """Where the windows stand over rows and over columns, for an input of `shape` ``(C, H, W)``."""
        found = []
        for size, out in zip(shape[1:], self.size, strict=True):
            start = np.arange(out) * size // out
            length = -(-(np.arange(out) + 1) * size // out) - start
            found.append(Windows(start=start, length=length, divisor=length, stride=-(-size // out)))
        return found[0], found[1]

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        x = inputs[0]
        rows, cols = self.windows(x.shape[1:])
        result: Array = np.empty((len(x), *shape))
        for i, (top, height) in enumerate(zip(rows.start, rows.length, strict=True)):
            for j, (left, width) in enumerate(zip(cols.start, cols.length, strict=True)):
                result[:, :, i, j] = x[:, :, top : top + height, left : left + width].mean(axis=(2, 3))
        return result

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return torch.nn.functional.adaptive_avg_pool2d(inputs[0], self.size)

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        return sources[0]

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        rows, cols = self.windows(shapes[0])
        return (Mean(rows=rows, cols=cols),)

    def describe(self) -> str:
        return f"average pool to {sizes(self.size)}"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        names = ("_adaptive_avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d")
        targets = tuple(f"aten.{name}.default" for name in names)
        return (Import(targets=targets, make=_adaptive),)


def _adaptive(call: Call) -> Imported:
    """adaptive_avg_pool2d; windows of ``H / out`` side by side where that divides."""
    shape, made = call.shape("self"), call.made
    source = call.source("self")
    if len(shape) != (3 if "1d" in call.target else 4):
        raise RefusalError(*NO_BATCH)
    if len(shape) == 3:
        shape, made = (*shape[:2], 1, shape[2]), (*made[:2], 1, made[2])
    out = (made[2], made[3])
    name = call.name()
    if any(n % o for n, o in zip(shape[2:], out, strict=True)):
        return call.add(AdaptiveAvgPool2d(name=name, inputs=(source.name,), size=out))
    kernel = (shape[2] // out[0], shape[3] // out[1])
    return call.add(AvgPool2d(name=name, inputs=(source.name,), kernel=kernel, stride=kernel))
