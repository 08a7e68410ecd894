"""The operators of a float network, one frozen dataclass each.

Arrays are numpy, in the dtype of the source network. Shapes leave the batch out:
an image is ``(C, H, W)``, a vector ``(K,)``. Padding is always ``(top, bottom, left, right)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.core.geometry import conv_output_size, pool_output_size

__all__ = [
    "AdaptiveAvgPool2d",
    "Add",
    "AvgPool2d",
    "BatchNorm",
    "Channels",
    "Clamp",
    "Concat",
    "Conv2d",
    "Flatten",
    "FloatArray",
    "Input",
    "Linear",
    "MaxPool2d",
    "Node",
    "Relu",
    "Shape",
    "Unflatten",
    "Upsample",
    "Windows",
]

FloatArray = NDArray[Any]
Shape = tuple[int, ...]
Pair = tuple[int, int]
Quad = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """The windows of an average along one axis, arrays ``(out,)``: samples start .. start + length - 1, padding among
    them, whose sum is divided by `divisor`. Neighbours start at most `stride` samples apart.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    divisor: NDArray[np.int64]
    stride: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One operator. `name` is unique in its graph and names the tensor it makes; `inputs` are such names."""

    name: str
    inputs: tuple[str, ...]

    def infer_shape(self, *inputs: Shape) -> Shape:
        """Output shape, without the batch, from the input shapes."""
        return inputs[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Input(Node):
    """The image (or vector) that enters the network."""

    shape: Shape

    def infer_shape(self, *inputs: Shape) -> Shape:
        return self.shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv2d(Node):
    """Cross-correlation. weight ``(M, C // groups, KH, KW)``, bias ``(M,)`` (zeros where the source has none)."""

    weight: FloatArray
    bias: FloatArray
    stride: Pair = (1, 1)
    padding: Quad = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def infer_shape(self, *inputs: Shape) -> Shape:
        _, h, w = inputs[0]
        kh, kw = self.weight.shape[2:]
        top, bottom, left, right = self.padding
        return (
            self.weight.shape[0],
            conv_output_size(h + top + bottom, kh, self.stride[0], self.dilation[0]),
            conv_output_size(w + left + right, kw, self.stride[1], self.dilation[1]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(Node):
    """``y = weight @ x + bias``. weight ``(M, K)``, bias ``(M,)``. Input must be a vector ``(K,)``."""

    weight: FloatArray
    bias: FloatArray

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (self.weight.shape[0],)


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchNorm(Node):
    """Per-channel ``(x - mean) / sqrt(var + eps) * weight + bias``; all arrays ``(C,)``.

    A `fixed` one is arithmetic with constants that the network itself does: training changes nothing of it.
    """

    weight: FloatArray
    bias: FloatArray
    mean: FloatArray
    var: FloatArray
    eps: float = 1e-5
    fixed: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Relu(Node):
    """``max(x, 0)``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool2d(Node):
    """Maximum over windows; padding never wins (it counts as minus infinity)."""

    kernel: Pair
    stride: Pair
    padding: Quad = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    ceil_mode: bool = False

    def infer_shape(self, *inputs: Shape) -> Shape:
        c, h, w = inputs[0]
        top, bottom, left, right = self.padding
        return (
            c,
            pool_output_size(h, self.kernel[0], self.stride[0], (top, bottom), self.dilation[0], self.ceil_mode),
            pool_output_size(w, self.kernel[1], self.stride[1], (left, right), self.dilation[1], self.ceil_mode),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Clamp(Node):
    """``min(max(x, low), high)``; None leaves that end open. ``low=0, high=6`` is ReLU6."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Node):
    """Sum of two or more tensors of one shape; a tensor named twice counts twice."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Node):
    """The channels of its inputs, one input after the other; maps must agree in height and width."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])


@dataclass(frozen=True, kw_only=True, eq=False)
class Channels(Node):
    """Channel ``indices[c]`` of the input is channel c of the output: slices, splits and channel shuffles."""

    indices: tuple[int, ...]

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (len(self.indices), *inputs[0][1:])


@dataclass(frozen=True, kw_only=True, eq=False)
class AvgPool2d(Node):
    """Mean over windows, which padding enters as zeros.

    Padding counts in the divisor with `count_include_pad`, what ceil mode adds beyond it never does (torch's rule).
    """

    kernel: Pair
    stride: Pair
    padding: Quad = (0, 0, 0, 0)
    ceil_mode: bool = False
    count_include_pad: bool = True

    def infer_shape(self, *inputs: Shape) -> Shape:
        c, h, w = inputs[0]
        top, bottom, left, right = self.padding
        return (
            c,
            pool_output_size(h, self.kernel[0], self.stride[0], (top, bottom), 1, self.ceil_mode),
            pool_output_size(w, self.kernel[1], self.stride[1], (left, right), 1, self.ceil_mode),
        )

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


@dataclass(frozen=True, kw_only=True, eq=False)
class AdaptiveAvgPool2d(Node):
    """Mean over ``OH x OW`` windows that share the map out: window i starts at ``floor(i * H / OH)`` and ends before
    ``ceil((i + 1) * H / OH)``; columns alike.
    """

    size: Pair

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (inputs[0][0], *self.size)

    def windows(self, shape: Shape) -> tuple[Windows, Windows]:
        """Where the windows stand over rows and over columns, for an input of `shape` ``(C, H, W)``."""
        found = []
        for size, out in zip(shape[1:], self.size, strict=True):
            start = np.arange(out) * size // out
            length = -(-(np.arange(out) + 1) * size // out) - start
            found.append(Windows(start=start, length=length, divisor=length, stride=-(-size // out)))
        return found[0], found[1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Upsample(Node):
    """Nearest neighbour by integers: every pixel fills ``factors[0]`` rows and ``factors[1]`` columns."""

    factors: Pair

    def infer_shape(self, *inputs: Shape) -> Shape:
        c, h, w = inputs[0]
        return (c, h * self.factors[0], w * self.factors[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Node):
    """``(C, H, W) -> (C*H*W,)``, channel-major; a vector stays as it is."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (int(np.prod(inputs[0])),)


@dataclass(frozen=True, kw_only=True, eq=False)
class Unflatten(Node):
    """``(K,) -> (K, 1, 1)``: a vector as a map of one pixel."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (inputs[0][0], 1, 1)
