"""What a layer of the integer network can do, and so the words in which an operator says how it is quantised.

The list is closed: it is the accelerator's one sentence (`hwprm.intnet.layers`) taken apart. An operator gives one
stage, or several that are done one after the other; quantisation knows stages only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwprm.core.geometry import conv_output_size
from hwprm.graph.rules.arrays import Array, Pair, Quad, Shape
from hwprm.graph.rules.functions import Function

__all__ = [
    "Affine",
    "AsMap",
    "AsVector",
    "Blended",
    "Clamped",
    "Convolution",
    "Copied",
    "Image",
    "Kernel",
    "Largest",
    "Matrix",
    "Mean",
    "Picked",
    "Product",
    "Repeated",
    "Stage",
    "Sum",
    "Tabulated",
    "Windows",
]


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
class Kernel:
    """One convolution: float64 weight ``(M, C // groups, KH, KW)``, added to the pixels of `region` only (or all)."""

    weight: Array
    stride: Pair = (1, 1)
    padding: Quad = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    region: Quad | None = None

    def made(self, shape: Shape) -> Shape:
        """The shape that it makes of a map of `shape`."""
        top, bottom, left, right = self.padding
        kh, kw = self.weight.shape[2:]
        return (
            len(self.weight),
            conv_output_size(shape[1] + top + bottom, kh, self.stride[0], self.dilation[0]),
            conv_output_size(shape[2] + left + right, kw, self.stride[1], self.dilation[1]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """One thing that a layer can do."""

    def made(self, shape: Shape) -> Shape:
        """The shape that it makes of a map of `shape`, where another stage of the same operator follows."""
        return shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Image(Stage):
    """Nothing: the tensor comes from outside."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Convolution(Stage):
    """`kernel` over the input, plus `bias` ``(M,)``."""

    kernel: Kernel
    bias: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Matrix(Stage):
    """weight ``(M, K)`` by a vector, which may be a flattened map, plus bias ``(M,)``."""

    weight: Array
    bias: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Affine(Stage):
    """``scale * x + shift`` in each channel, both ``(C,)``."""

    scale: Array
    shift: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Sum(Stage):
    """The inputs added up, pixel by pixel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Product(Stage):
    """The two inputs multiplied, pixel by pixel; one of them may have one pixel, which then counts for all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Clamped(Stage):
    """``min(max(x, low), high)``; None leaves that end open."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Tabulated(Stage):
    """`function` of every sample, from a table."""

    function: Function


@dataclass(frozen=True, kw_only=True, eq=False)
class Largest(Stage):
    """Maximum over windows; padding never wins."""

    kernel: Pair
    stride: Pair
    padding: Quad
    dilation: Pair
    ceil_mode: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Mean(Stage):
    """Mean over the windows `rows` x `cols` of each channel."""

    rows: Windows
    cols: Windows


@dataclass(frozen=True, kw_only=True, eq=False)
class Repeated(Stage):
    """Every pixel fills ``factors[0]`` rows and ``factors[1]`` columns."""

    factors: Pair

    def made(self, shape: Shape) -> Shape:
        return (shape[0], shape[1] * self.factors[0], shape[2] * self.factors[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Copied(Stage):
    """The sum of `kernels` whose weights are 0 and 1, so that each result is one sample of the input, exactly."""

    kernels: tuple[Kernel, ...]

    def made(self, shape: Shape) -> Shape:
        return self.kernels[0].made(shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Blended(Stage):
    """The sum of `kernels`, so that each result is a mean of samples, each weighted with one over a whole number."""

    kernels: tuple[Kernel, ...]

    def made(self, shape: Shape) -> Shape:
        return self.kernels[0].made(shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Picked(Stage):
    """A relabelling of channels, which moves no data: channel c is channel ``channels[c][1]`` of input number
    ``channels[c][0]``.
    """

    channels: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class AsVector(Stage):
    """A map read as a vector, channel-major: no data moves."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AsMap(Stage):
    """A vector read as a map of one pixel: no data moves."""
