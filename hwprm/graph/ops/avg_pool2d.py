"""Average pooling with windows of one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwprm.core.geometry import Window, pool_output_size, taps_inside
from hwprm.graph.rules.arrays import Array, FloatArray, Pair, Quad, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import NO_BATCH, Call, Import, Imported, RefusalError, pair
from hwprm.graph.rules.node import Channelwise, Told
from hwprm.graph.rules.stages import Mean, Stage, Windows
from hwprm.graph.rules.text import sizes, strided
from hwprm.graph.rules.windows import needs_map, pad, padded_in_torch, window_view

__all__ = ["AvgPool2d"]


@dataclass(frozen=True, kw_only=True, eq=False)
class AvgPool2d(Channelwise):
    """Mean over windows, which padding enters as zeros.

    Padding counts in the divisor with `count_include_pad`, what ceil mode adds beyond it never does (torch's rule).
    """

    kernel: Pair
    stride: Pair
    padding: Quad = (0, 0, 0, 0)
    ceil_mode: bool = False
    count_include_pad: bool = True

    offered = "avg_pool2d"
    replaces = {}
    told = Told.FOLLOWING

    @property
    def window(self) -> Window:
        """The window that slides over the map."""
        return Window(kernel=self.kernel, stride=self.stride, padding=self.padding)

    def infer_shape(self, *inputs: Shape) -> Shape:
        c, h, w = inputs[0]
        top, bottom, left, right = self.padding
        return (
            c,
            pool_output_size(h, self.kernel[0], self.stride[0], (top, bottom), 1, self.ceil_mode),
            pool_output_size(w, self.kernel[1], self.stride[1], (left, right), 1, self.ceil_mode),
        )

    def check(self, inputs: Sequence[Shape]) -> None:
        needs_map("average pool", self.name, inputs[0])

    def windows(self, shape: Shape) -> tuple[Windows, Windows]:
        """Where the windows stand over rows and over columns, for an input of `shape` ``(C, H, W)``."""
        _, rows, cols = self.infer_shape(shape)
        sides = zip(
            shape[1:], (self.padding[:2], self.padding[2:]), self.kernel, self.stride, (rows, cols), strict=True
        )
        found = []
        for size, (before, after), kernel, stride, out in sides:
            start = np.arange(out) * stride - before
            stop = np.minimum(start + kernel, size + after)
            inner = np.maximum(start, 0), np.minimum(stop, size)
            count = stop - start if self.count_include_pad else inner[1] - inner[0]
            found.append(Windows(start=start, length=np.full(out, kernel), divisor=count, stride=stride))
        return found[0], found[1]

    def divisors(self, shape: Shape) -> FloatArray:
        """``(OH, OW)``: what each window's sum is divided by, for an input of `shape` ``(C, H, W)``."""
        rows, cols = self.windows(shape)
        return np.outer(rows.divisor, cols.divisor)

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        x = inputs[0]
        padded = pad(x, self.window.reach((x.shape[2], x.shape[3]), (shape[1], shape[2])), 0.0)
        result: Array = window_view(padded, self.window, shape).sum(axis=(4, 5)) / self.divisors(x.shape[1:])
        return result

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        """Sums over the padded map, then the divisors by hand: any padding and ceil_mode then work."""
        shape = tuple(inputs[0].shape[1:])
        x = padded_in_torch(torch, inputs[0], self.window, self.infer_shape(shape), 0.0)
        sums = torch.nn.functional.avg_pool2d(x, self.kernel, self.stride, divisor_override=1)
        return sums / torch.from_numpy(self.divisors(shape)).to(x)

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        """Where padding counts, the mean of a constant is lower at the border."""
        _, height, width = self.infer_shape(*shapes)
        top, _, left, _ = self.padding
        rows = taps_inside(shapes[0][1], height, self.kernel[0], self.stride[0], top, 1).sum(axis=1)
        cols = taps_inside(shapes[0][2], width, self.kernel[1], self.stride[1], left, 1).sum(axis=1)
        divisors = self.divisors(shapes[0])
        if (divisors <= 0).any():  # a window of nothing but padding has no mean
            return Constants.none(shapes[0][0])
        share = np.outer(rows, cols) / divisors  # the mean of a map of ones
        known = sources[0].known & ((share == share[0, 0]).all() | (sources[0].value == 0))
        return Constants.where(known, sources[0].value * share[0, 0])

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        rows, cols = self.windows(shapes[0])
        return (Mean(rows=rows, cols=cols),)

    def describe(self) -> str:
        return f"average pool {sizes(self.kernel)}{strided(self.stride, self.kernel)}"

    def never_negative(self, inputs: Sequence[bool]) -> bool:
        return all(inputs)

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """Means over axes may mean it too, see `hwprm.frontend.reductions`."""
        return (Import(targets=("aten.avg_pool1d.default", "aten.avg_pool2d.default"), make=_avg_pool),)


def _avg_pool(call: Call) -> Imported:
    """avg_pool2d; zero padding ahead of it is a part of its map, and counts."""
    if call.args.get("divisor_override") is not None:
        raise RefusalError("it overrides the divisor", "leave divisor_override out, and scale the next layer's weights")
    shape = call.shape("self")
    if len(shape) != (3 if "1d" in call.target else 4):
        raise RefusalError(*NO_BATCH)
    kernel = pair(call.args["kernel_size"], shape)
    rows, cols = pair(call.args["padding"], shape, row=0)
    ceil = bool(call.args["ceil_mode"])
    source = call.source("self", padded=not ceil and (rows, cols) == (0, 0))
    return call.add(
        AvgPool2d(
            name=call.name(),
            inputs=(source.name,),
            kernel=kernel,
            stride=pair(call.args["stride"], shape) if call.args["stride"] else kernel,
            padding=source.padding if any(source.padding) else (rows, rows, cols, cols),
            ceil_mode=ceil,
            count_include_pad=bool(call.args["count_include_pad"]) or any(source.padding),
        )
    )
