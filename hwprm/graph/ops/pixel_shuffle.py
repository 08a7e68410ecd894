"""Pixel shuffle: channels become pixels (sub-pixel convolution)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph.rules.arrays import Array, Shape
from hwprm.graph.rules.imports import NO_BATCH, Call, Import, Imported, RefusalError
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.node import Relabelling, Told
from hwprm.graph.rules.stages import Copied, Kernel, Repeated, Stage
from hwprm.graph.rules.windows import needs_map

__all__ = ["PixelShuffle"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelShuffle(Relabelling):
    """``(C * r * r, H, W) -> (C, H * r, W * r)``, r being the `factor`: channel ``c * r * r + i * r + j`` makes the
    pixels in row i and column j of every r x r square of channel c.
    """

    factor: int

    offered = "pixel_shuffle"
    replaces = {}
    told = Told.PLAIN

    def infer_shape(self, *inputs: Shape) -> Shape:
        c, h, w = inputs[0]
        return (c // self.factor**2, h * self.factor, w * self.factor)

    def check(self, inputs: Sequence[Shape]) -> None:
        needs_map("pixel shuffle", self.name, inputs[0])
        if self.factor < 1 or inputs[0][0] % self.factor**2:
            raise ModelError(
                f"pixel shuffle {self.name!r} by {self.factor} makes squares of {self.factor}**2 channels, "
                f"it reads {inputs[0]}; give it a multiple of them"
            )

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        r, (c, h, w) = self.factor, shape
        squares = inputs[0].reshape(-1, c, r, r, h // r, w // r)
        return squares.transpose(0, 1, 4, 2, 5, 3).reshape(-1, c, h, w)

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return torch.nn.functional.pixel_shuffle(inputs[0], self.factor)

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        return (Links.gathered(shapes[0][0] // self.factor**2, self.factor**2),)

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        """Rows, then columns: every pixel is repeated, and of the r maps that hold something for a row (a column), a
        kernel for this row alone copies the one that is meant. ``(H + W) * r`` kernels in all, each 1 x 1.
        """
        r, (channels, h, w) = self.factor, self.infer_shape(*shapes)
        rows = [self._copy(channels, y % r, inner=r, region=(y, y + 1, 0, w // r)) for y in range(h)]
        cols = [self._copy(channels, x % r, inner=1, region=(0, h, x, x + 1)) for x in range(w)]
        return (
            Repeated(factors=(r, 1)),
            Copied(kernels=tuple(rows)),
            Repeated(factors=(1, r)),
            Copied(kernels=tuple(cols)),
        )

    def _copy(self, channels: int, phase: int, *, inner: int, region: tuple[int, int, int, int]) -> Kernel:
        """Filter ``c * inner + j`` copies channel ``c * r * inner + phase * inner + j``, in `region` only."""
        weight = np.zeros((channels * inner, self.factor * inner, 1, 1))
        for j in range(inner):
            weight[j::inner, phase * inner + j] = 1
        return Kernel(weight=weight, groups=channels, region=region)

    def describe(self) -> str:
        return f"pixel shuffle {self.factor}"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        return (Import(targets=("aten.pixel_shuffle.default",), make=_pixel_shuffle),)


def _pixel_shuffle(call: Call) -> Imported:
    """``pixel_shuffle(x, r)`` of (batch, C, H, W)."""
    source, factor = call.source("self"), int(call.args["upscale_factor"])
    if len(call.shape("self")) != 4:
        raise RefusalError(*NO_BATCH)
    if factor == 1:
        return call.stands_for(source)
    return call.add(PixelShuffle(name=call.name(), inputs=(source.name,), factor=factor))
