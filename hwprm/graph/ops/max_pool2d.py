"""Max pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwprm.core.geometry import Window, pool_output_size, window_taps
from hwprm.graph.rules.arrays import Array, Pair, Quad, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import NO_BATCH, Call, Import, Imported, RefusalError, pair
from hwprm.graph.rules.node import Channelwise, Told
from hwprm.graph.rules.stages import Largest, Stage
from hwprm.graph.rules.text import sizes, strided
from hwprm.graph.rules.windows import needs_map, pad, padded_in_torch, window_view

__all__ = ["MaxPool2d"]


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool2d(Channelwise):
    """Maximum over windows; padding never wins (it counts as minus infinity)."""

    kernel: Pair
    stride: Pair
    padding: Quad = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    ceil_mode: bool = False

    offered = "max_pool2d"
    replaces = {}
    told = Told.FOLLOWING

    @property
    def window(self) -> Window:
        """The window that slides over the map."""
        return Window(kernel=self.kernel, stride=self.stride, padding=self.padding, dilation=self.dilation)

    def infer_shape(self, *inputs: Shape) -> Shape:
        c, h, w = inputs[0]
        top, bottom, left, right = self.padding
        return (
            c,
            pool_output_size(h, self.kernel[0], self.stride[0], (top, bottom), self.dilation[0], self.ceil_mode),
            pool_output_size(w, self.kernel[1], self.stride[1], (left, right), self.dilation[1], self.ceil_mode),
        )

    def check(self, inputs: Sequence[Shape]) -> None:
        needs_map("max pool", self.name, inputs[0])

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        x = inputs[0]
        padded = pad(x, self.window.reach((x.shape[2], x.shape[3]), (shape[1], shape[2])), -np.inf)
        result: Array = window_view(padded, self.window, shape).max(axis=(4, 5))
        return result

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        shape = self.infer_shape(tuple(inputs[0].shape[1:]))
        x = padded_in_torch(torch, inputs[0], self.window, shape, float("-inf"))
        return torch.nn.functional.max_pool2d(x, self.kernel, self.stride, 0, self.dilation)

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        """A window of nothing but padding has no maximum among the samples."""
        _, height, width = self.infer_shape(*shapes)
        taps = window_taps((shapes[0][1], shapes[0][2]), (height, width), self.window)
        return Constants.where(sources[0].known & taps.seen, sources[0].value)

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (
            Largest(
                kernel=self.kernel,
                stride=self.stride,
                padding=self.padding,
                dilation=self.dilation,
                ceil_mode=self.ceil_mode,
            ),
        )

    def describe(self) -> str:
        return f"max pool {sizes(self.kernel)}{strided(self.stride, self.kernel)}"

    def never_negative(self, inputs: Sequence[bool]) -> bool:
        return all(inputs)

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        names = ("max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices")
        targets = tuple(f"aten.{name}.default" for name in names)
        return (
            Import(targets=targets, make=_max_pool),
            Import(targets=("aten.adaptive_max_pool1d.default", "aten.adaptive_max_pool2d.default"), make=_adaptive),
        )


def _max_pool(call: Call) -> Imported:
    """max_pool2d; of the decomposed one only the values (item 0) may be used, which the frontend sees to."""
    shape = call.shape("self")
    if len(shape) != (3 if "1d" in call.target else 4):
        raise RefusalError(*NO_BATCH)
    kernel = pair(call.args["kernel_size"], shape)
    rows, cols = pair(call.args["padding"], shape, row=0)
    source = call.source("self", padded=True)
    if (rows, cols) != (0, 0) or call.args["ceil_mode"] or not call.never_negative(source.name):
        source = call.source("self")  # only then zeros ahead of it are as good as its own padding
    pool = MaxPool2d(
        name=call.name(),
        inputs=(source.name,),
        kernel=kernel,
        stride=pair(call.args["stride"], shape) if call.args["stride"] else kernel,
        padding=source.padding if any(source.padding) else (rows, rows, cols, cols),
        dilation=pair(call.args["dilation"], shape),
        ceil_mode=bool(call.args["ceil_mode"]),
    )
    top, bottom, left, right = source.padding
    size = ((1 if len(shape) == 3 else shape[2]) - top - bottom, shape[-1] - left - right)
    _, height, width = pool.infer_shape((shape[1], *size))
    if not window_taps(size, (height, width), pool.window).seen:
        raise RefusalError("one of its windows lies wholly in the padding", "pad by less than a window reaches")
    return call.add(pool)


def _adaptive(call: Call) -> Imported:
    """adaptive_max_pool2d to a size that divides the map."""
    shape = call.shape("self")
    out = pair(call.args["output_size"], shape)
    source = call.source("self")
    if len(shape) != (3 if "1d" in call.target else 4):
        raise RefusalError(*NO_BATCH)
    shape = (*shape[:2], 1, shape[2]) if len(shape) == 3 else shape
    if any(n % o for n, o in zip(shape[2:], out, strict=True)):
        raise RefusalError(
            f"its windows differ in size: {out} does not divide {shape[2:]}", "use an output size that divides the map"
        )
    kernel = (shape[2] // out[0], shape[3] // out[1])
    return call.add(MaxPool2d(name=call.name(), inputs=(source.name,), kernel=kernel, stride=kernel))
