"""Convolution of maps: dense, grouped, depthwise, dilated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.core.geometry import Window, conv_output_size, window_taps
from hwprm.graph.rules.arrays import Array, BoolArray, FloatArray, Pair, Quad, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import NO_BATCH, Call, Import, Imported, RefusalError, pair
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.node import Weighted
from hwprm.graph.rules.stages import Convolution, Kernel, Stage
from hwprm.graph.rules.text import grouped, sizes, strided
from hwprm.graph.rules.windows import pad, window_view

__all__ = ["Conv2d"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv2d(Weighted):
    """Cross-correlation. weight ``(M, C // groups, KH, KW)``, bias ``(M,)`` (zeros where the source has none)."""

    weight: FloatArray
    bias: FloatArray
    stride: Pair = (1, 1)
    padding: Quad = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    offered = "conv2d"
    replaces = {"conv3d": "use conv2d instead", "conv_transpose1d": "use a transposed convolution of maps"}

    @property
    def window(self) -> Window:
        """The window that slides over the map."""
        kernel = (self.weight.shape[2], self.weight.shape[3])
        return Window(kernel=kernel, stride=self.stride, padding=self.padding, dilation=self.dilation)

    @property
    def depthwise(self) -> bool:
        """Whether each filter reads one channel of several."""
        return self.groups > 1 and self.weight.shape[1] == 1

    @property
    def balanced(self) -> bool:
        return self.groups > 1 and not self.depthwise

    def infer_shape(self, *inputs: Shape) -> Shape:
        _, h, w = inputs[0]
        kh, kw = self.weight.shape[2:]
        top, bottom, left, right = self.padding
        return (
            self.weight.shape[0],
            conv_output_size(h + top + bottom, kh, self.stride[0], self.dilation[0]),
            conv_output_size(w + left + right, kw, self.stride[1], self.dilation[1]),
        )

    def check(self, inputs: Sequence[Shape]) -> None:
        (shape,) = inputs
        if len(shape) != 3 or shape[0] != self.weight.shape[1] * self.groups:
            raise ModelError(
                f"conv {self.name!r} expects {self.weight.shape[1] * self.groups} input channels, it reads {shape}"
            )
        if len(self.weight) % self.groups:
            raise ModelError(
                f"conv {self.name!r} has {len(self.weight)} filters, which {self.groups} groups cannot share"
            )
        self.check_bias()

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        patches = window_view(pad(inputs[0], self.padding, 0.0), self.window, shape)
        groups = np.split(patches, self.groups, axis=1)
        weights = np.split(self.weight.astype(np.float64), self.groups)
        parts = [np.einsum("nchwij,mcij->nmhw", p, w, optimize=True) for p, w in zip(groups, weights, strict=True)]
        result: Array = np.concatenate(parts, axis=1) + self.bias.astype(np.float64)[:, None, None]
        return result

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        x, functional = inputs[0], torch.nn.functional
        top, bottom, left, right = self.padding
        padding = (top, left)
        if (top, left) != (bottom, right):
            x, padding = functional.pad(x, (left, right, top, bottom)), (0, 0)
        stride = self.stride
        if stride != (1, 1) and self.weight.shape[2:] == (1, 1) and padding == (0, 0):
            # A step between pixels that are read alone is a choice of pixels. With fewer than 8 channels, innermost in
            # memory, oneDNN's AVX2 gradient of the strided form writes past its buffers (torch 2.13).
            x, stride = x[:, :, :: stride[0], :: stride[1]], (1, 1)
        return functional.conv2d(x, held.weight, held.bias, stride, padding, self.dilation, self.groups)

    def fold(self, source: Constants, shape: Shape) -> Weighted:
        """Only taps that never fall on zero padding read the constant everywhere."""
        _, height, width = self.infer_shape(shape)
        taps = window_taps((shape[1], shape[2]), (height, width), self.window)
        weight, bias = self.weight.astype(np.float64), self.bias.astype(np.float64)
        weight[:, :, taps.never] = 0
        filters, channels = len(bias) // self.groups, weight.shape[1]
        for channel in np.flatnonzero(source.known):
            group, local = divmod(int(channel), channels)
            rows, value = slice(group * filters, (group + 1) * filters), source.value[channel]
            exact = taps.always | (value == 0)  # padding is zero too
            bias[rows] += value * (weight[rows, local] * exact).sum(axis=(1, 2))
            weight[rows, local] *= ~exact
        return replace(self, weight=weight.astype(self.weight.dtype), bias=bias.astype(self.bias.dtype))

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        if not self.depthwise:
            return (Links.none(),)
        return (Links.spread(shapes[0][0], len(self.bias) // shapes[0][0]),)

    def channels_read(self, used: BoolArray, channels: int) -> BoolArray:
        # Columns are channel-major.
        of_group = used.reshape(self.groups, -1, channels // self.groups, used.shape[1] * self.groups // channels)
        found: BoolArray = of_group.any(axis=(1, 3)).reshape(-1)
        return found

    def bond(self, out: BoolArray, ins: Sequence[BoolArray], shapes: Sequence[Shape]) -> None:
        """Every group that is left has as many filters, and as many channels, as the fullest."""
        if self.groups == 1:
            super().bond(out, ins, shapes)
            return
        filters, channels = out.reshape(self.groups, -1), ins[0].reshape(self.groups, -1)  # views
        live = np.flatnonzero(filters.any(axis=1) | channels.any(axis=1))
        for mask in (filters, channels):
            most = max(1, int(mask.sum(axis=1).max()))
            for group in live:
                spare = np.flatnonzero(~mask[group])
                mask[group, spare[: most - int(mask[group].sum())]] = True

    def cut(self, out: BoolArray, ins: Sequence[BoolArray]) -> Conv2d:
        if self.groups == 1:
            return replace(self, weight=self.weight[out][:, ins[0]], bias=self.bias[out])
        groups = int(out.reshape(self.groups, -1).any(axis=1).sum())
        channels = ins[0].reshape(self.groups, -1)
        filters = len(out) // self.groups
        weight = np.stack([self.weight[m, channels[m // filters]] for m in np.flatnonzero(out)])
        return replace(self, weight=weight, bias=self.bias[out], groups=groups)

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        kernel = Kernel(
            weight=np.asarray(self.weight, np.float64),
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        return (Convolution(kernel=kernel, bias=np.asarray(self.bias, np.float64)),)

    def describe(self) -> str:
        return f"conv {sizes(self.weight.shape[2:])}{strided(self.stride, (1, 1))}{grouped(self.groups)}"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        names = ("conv1d.default", "conv1d.padding", "conv2d.default", "conv2d.padding", "convolution.default")
        targets = tuple(f"aten.{name}" for name in names)
        return (Import(targets=targets, make=_conv),)


def _conv(call: Call) -> Imported:
    """conv2d, conv1d (on maps of one row) and the decomposed convolution; it takes in zero padding."""
    source = call.source("input", padded=True)
    weight = call.constant("weight", "weight")
    bias = np.zeros(len(weight), weight.dtype) if call.args["bias"] is None else call.constant("bias", "bias")
    if weight.ndim not in (3, 4):
        raise RefusalError(f"it is a {weight.ndim - 2}-dimensional convolution", "use conv2d instead")
    shape = call.shape("input")
    if len(shape) != weight.ndim:
        raise RefusalError(*NO_BATCH)
    if weight.ndim == 3:
        weight = weight[:, :, None]
    dilation = pair(call.args["dilation"], shape)
    padding = call.args["padding"]
    if not isinstance(padding, str):
        padding = pair(padding, shape, row=0)
    inner = _padding(padding, (int(weight.shape[2]), int(weight.shape[3])), dilation)
    top, bottom, left, right = (a + b for a, b in zip(source.padding, inner, strict=True))
    return call.add(
        Conv2d(
            name=call.name("weight"),
            inputs=(source.name,),
            weight=weight,
            bias=bias,
            stride=pair(call.args["stride"], shape),
            padding=(top, bottom, left, right),
            dilation=dilation,
            groups=int(call.args["groups"]),
        )
    )


def _padding(padding: Any, kernel: Pair, dilation: Pair) -> Quad:
    """(top, bottom, left, right) of torch's padding argument; 'same' puts the odd one at the bottom and right."""
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2
    rows, cols = (0, 0) if padding == "valid" else pair(padding)
    return rows, rows, cols, cols
