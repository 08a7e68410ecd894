"""Pixel unshuffle: pixels become channels (space to depth)."""

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
from hwprm.graph.rules.stages import Copied, Kernel, Stage
from hwprm.graph.rules.windows import needs_map

__all__ = ["PixelUnshuffle"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelUnshuffle(Relabelling):
    """``(C, H * r, W * r) -> (C * r * r, H, W)``, r being the `factor`: the pixels in row i and column j of every r x r
    square of channel c become channel ``c * r * r + i * r + j``.
    """

    factor: int

    offered = "pixel_unshuffle"
    replaces = {}
    told = Told.PLAIN

    def infer_shape(self, *inputs: Shape) -> Shape:
        c, h, w = inputs[0]
        return (c * self.factor**2, h // self.factor, w // self.factor)

    def check(self, inputs: Sequence[Shape]) -> None:
        needs_map("pixel unshuffle", self.name, inputs[0])
        if self.factor < 1 or any(size % self.factor for size in inputs[0][1:]):
            raise ModelError(
                f"pixel unshuffle {self.name!r} cuts squares of {self.factor} pixels out of {inputs[0]}; "
                "give it a map of a multiple of them in height and width"
            )

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        r, (_, h, w) = self.factor, shape
        squares = inputs[0].reshape(len(inputs[0]), -1, h, r, w, r)
        return squares.transpose(0, 1, 3, 5, 2, 4).reshape(-1, *shape)

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return torch.nn.functional.pixel_unshuffle(inputs[0], self.factor)

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        return (Links.spread(shapes[0][0], self.factor**2),)

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        """A convolution of stride r whose filters copy one tap each."""
        r, channels = self.factor, shapes[0][0]
        weight = np.tile(np.eye(r * r).reshape(r * r, 1, r, r), (channels, 1, 1, 1))
        return (Copied(kernels=(Kernel(weight=weight, stride=(r, r), groups=channels),)),)

    def describe(self) -> str:
        return f"pixel unshuffle {self.factor}"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        return (Import(targets=("aten.pixel_unshuffle.default",), make=_pixel_unshuffle),)


def _pixel_unshuffle(call: Call) -> Imported:
    """``pixel_unshuffle(x, r)`` of (batch, C, H, W)."""
    source, factor = call.source("self"), int(call.args["downscale_factor"])
    if len(call.shape("self")) != 4:
        raise RefusalError(*NO_BATCH)
    if factor == 1:
        return call.stands_for(source)
    return call.add(PixelUnshuffle(name=call.name(), inputs=(source.name,), factor=factor))
