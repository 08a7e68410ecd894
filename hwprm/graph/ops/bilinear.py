"""Bilinear resizing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph.rules.arrays import Array, Pair, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import NO_BATCH, Call, Import, Imported, RefusalError
from hwprm.graph.rules.node import Channelwise, Told
from hwprm.graph.rules.stages import Blended, Repeated, Stage
from hwprm.graph.rules.taps import Taps, passes
from hwprm.graph.rules.text import sizes
from hwprm.graph.rules.windows import needs_map

__all__ = ["Bilinear"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Bilinear(Channelwise):
    """Every pixel of the `size` ``(OH, OW)`` is interpolated between the four around it, whose centres are `steps`
    pixels apart from one to the next; with `corners` those of the four corners stay where they are instead.
    """

    size: Pair
    steps: tuple[float, float]
    corners: bool = False

    offered = "bilinear upsampling"
    replaces = {"upsample_bicubic2d": "use mode='bilinear' or mode='nearest'"}
    told = Told.PLAIN

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (inputs[0][0], *self.size)

    def check(self, inputs: Sequence[Shape]) -> None:
        needs_map("bilinear resizing", self.name, inputs[0])
        if min(self.size) < 1 or not all(np.isfinite(step) and step > 0 for step in self.steps):
            raise ModelError(f"{self.name!r} makes {self.size} in steps of {self.steps}; both must be positive")

    def axes(self, shape: Shape) -> tuple[Taps, Taps]:
        """What rows and columns of the result are made of, for an input of `shape`."""
        made = [self._axis(*both) for both in zip(shape[1:], self.size, self.steps, strict=True)]
        return made[0], made[1]

    def _axis(self, size: int, out: int, step: float) -> Taps:
        j = np.arange(out)
        place = j * ((size - 1) / (out - 1) if out > 1 else 0.0) if self.corners else (j + 0.5) * step - 0.5
        place = np.clip(place, 0.0, size - 1)
        start = np.floor(place).astype(np.int64)
        share = place - start
        return Taps(start=start, weights=np.stack([1 - share, share], axis=1), size=size)

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        rows, cols = (taps.matrix for taps in self.axes(inputs[0].shape[1:]))
        result: Array = rows @ inputs[0] @ cols.T
        return result

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        rows, cols = (torch.from_numpy(taps.matrix).to(inputs[0]) for taps in self.axes(inputs[0].shape[1:]))
        return rows @ inputs[0] @ cols.T

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        return sources[0]

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        """Where an axis grows by a whole number, it is repeated and averaged over as many pixels, which is the same;
        else each row, and each column, is a kernel of its own.
        """
        channels, *before = shapes[0]
        rows, cols = self.axes(shapes[0])
        still = [Taps.of(np.arange(size), size) for size in (self.size[0], before[1])]
        stages: list[Stage] = []
        for axis, taps in enumerate((rows, cols)):
            if taps.whole:
                continue
            factor = self.size[axis] // before[axis]
            if not self.corners and self.steps[axis] * factor == 1 and self.size[axis] == factor * before[axis]:
                stages.append(Repeated(factors=(factor, 1) if axis == 0 else (1, factor)))
                taps = _box(self.size[axis], factor)
            down, across = (taps, still[1]) if axis == 0 else (still[0], taps)
            stages += [Blended(kernels=kernels) for kernels in passes(down, across, channels)]
        return tuple(stages) or (Repeated(factors=(1, 1)),)

    def describe(self) -> str:
        return f"bilinear to {sizes(self.size)}"

    def never_negative(self, inputs: Sequence[bool]) -> bool:
        return all(inputs)

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        targets = tuple(f"aten.upsample_bilinear2d.{overload}" for overload in ("default", "vec"))
        return (Import(targets=targets, make=_bilinear),)


def _box(out: int, factor: int) -> Taps:
    """The mean of `factor` pixels around each of `out` that hold every sample `factor` times, of which half of the
    outer ones where `factor` is even; at the ends, where all pixels are alike, one of them.
    """
    half = factor // 2
    weights = np.zeros((out, 2 * half + 1))
    weights[:] = 1 / factor
    if factor % 2 == 0:
        weights[:, [0, -1]] = 1 / (2 * factor)
    start = np.arange(out) - half
    for j in (*range(half), *range(out - half, out)):
        weights[j], start[j] = 0.0, j
        weights[j, 0] = 1.0
    return Taps(start=start, weights=weights, size=out)


def _bilinear(call: Call) -> Imported:
    """``interpolate(x, mode="bilinear")``."""
    key = "input" if "input" in call.args else "self"
    before, after = call.shape(key), call.made
    if len(before) != 4:
        raise RefusalError(*NO_BATCH)
    listed = call.args.get("scale_factors") or (call.args.get("scales_h"), call.args.get("scales_w"))
    # What is not given follows from the sizes.
    steps = [1 / given if given else old / new for given, old, new in zip(listed, before[2:], after[2:], strict=True)]
    source = call.source(key)
    if after[2:] == before[2:]:
        return call.stands_for(source)
    node = Bilinear(
        name=call.name(),
        inputs=(source.name,),
        size=(after[2], after[3]),
        steps=(steps[0], steps[1]),
        corners=bool(call.args["align_corners"]),
    )
    return call.add(node)
