"""The layers of an integer network over integer tensors: exactly what the accelerator computes.

Every layer is the same sentence, whatever the source operator was::

    acc[m, y, x] = bias[m] + sum over terms, c, ky, kx of weight[m, c, ky, kx] * x[c, tap(y, ky), tap(x, kx)]
    acc          = maximum over the pooling window, where there is one
    acc[m, y, x] = acc[m, y, x] + residual.mult[m] * r[residual.channel[m], y, x], where there is a residual
    acc[m, y, x] = acc[m, y, x] + residual.mult[m] * r[residual.channel[m], y, x] * g[gate.channel[m], y, x], where it
                   has a gate, whose map may be one pixel, which then counts for all: that is a product
    out          = requantize(acc, mult[m], shift[m], clamp_low, clamp_high)
    out          = table[out], where there is a table (`hwprm.core.numerics.table`)
    tensor       = every pixel of out, repeated in a rectangle of `upsample`, (1, 1) as a rule

A fully connected layer on a map ``(C, H, W)`` is a convolution whose kernel is the whole map (output 1 x 1), on
a vector ``(K,)`` a 1 x 1 convolution of ``(K, 1, 1)``; ReLU is a clamp whose lower end is 0; batch norm is in the
weights; flatten is a relabelling. A residual sum is a second term, or the residual of a layer without pooling; a
product of two tensors is a residual with a gate. A term with a `region` adds to the pixels of that rectangle only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwprm.core.geometry import conv_output_size, pool_output_size
from hwprm.core.numerics import integer_range, look_up

__all__ = ["Gate", "GemmLayer", "Pool", "Residual", "Tensor", "Term"]

IntArray = NDArray[np.int64]
Pair = tuple[int, int]
Quad = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A map of integers ``(C, H, W)`` of `bits` bits; the real value is ``integer * scale``.

    Signed integers are two's complement, unsigned ones reach twice as far: 0..255 in 8 bits.
    """

    name: str
    shape: tuple[int, int, int]
    bits: int
    scale: float
    signed: bool = True

    @property
    def limits(self) -> Pair:
        """Smallest and largest integer of its bits."""
        return integer_range(self.bits, self.signed)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Max pooling of a layer's accumulators. Padding never wins."""

    kernel: Pair
    stride: Pair
    padding: Quad = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    ceil_mode: bool = False

    def output_size(self, size: Pair) -> Pair:
        """Height and width of the pooled map of a `size` map."""
        top, bottom, left, right = self.padding
        return (
            pool_output_size(size[0], self.kernel[0], self.stride[0], (top, bottom), self.dilation[0], self.ceil_mode),
            pool_output_size(size[1], self.kernel[1], self.stride[1], (left, right), self.dilation[1], self.ceil_mode),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Term:
    """One convolution into a layer's accumulator: weight ``(M, C // groups, KH, KW)`` over tensor `source`.

    With a `region` (top, bottom, left, right), ends exclusive, only accumulators inside it get anything of the term.
    """

    source: str
    weight: IntArray
    stride: Pair = (1, 1)
    padding: Quad = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    region: Quad | None = None

    def output_size(self, size: Pair) -> Pair:
        """Height and width of this convolution's result on a `size` map."""
        top, bottom, left, right = self.padding
        kh, kw = self.weight.shape[2:]
        return (
            conv_output_size(size[0] + top + bottom, kh, self.stride[0], self.dilation[0]),
            conv_output_size(size[1] + left + right, kw, self.stride[1], self.dilation[1]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Gate:
    """What a residual is multiplied with: that of filter m with channel ``channel[m]`` of tensor `source`, channel
    ``(M,)``; pixel by pixel, or where `source` has one pixel a channel, all of them with it.
    """

    source: str
    channel: IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Residual:
    """What a layer adds to its sums, pixel by pixel: filter m gets ``mult[m] * x[channel[m]]`` of tensor `source`,
    times its `gate`, where there is one.

    channel and mult ``(M,)``, mult never negative; 0 adds nothing to its filter, whatever the channel. With a gate
    mult is 0 or 1.
    """

    source: str
    channel: IntArray
    mult: IntArray
    gate: Gate | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The tensors it reads."""
        return (self.source, self.gate.source) if self.gate else (self.source,)


@dataclass(frozen=True, kw_only=True, eq=False)
class GemmLayer:
    """One layer; it makes the tensor of its own `name`. bias, mult, shift ``(M,)``.

    `wide` marks a network output: 32-bit words that leave the accelerator instead of activations.
    `upsample` is how often each pixel stands below and beside itself in the layer's tensor (nearest neighbour).
    `clamp` is that of the tensor's integers, or with a `table` ``(2**act_bits,)`` of its codes, which are signed where
    they begin below 0.
    """

    name: str
    terms: tuple[Term, ...]
    bias: IntArray
    mult: IntArray
    shift: IntArray
    clamp: Pair
    pool: Pool | None = None
    residual: Residual | None = None
    wide: bool = False
    upsample: Pair = (1, 1)
    table: IntArray | None = None

    @property
    def limits(self) -> Pair:
        """Smallest and largest integer that it can make."""
        if self.table is None:
            return self.clamp
        reached = look_up(self.table, np.arange(self.clamp[0], self.clamp[1] + 1))
        return int(reached.min()), int(reached.max())

    def finished(self, requantised: IntArray) -> IntArray:
        """What it makes of integers that are requantised and clamped, of any shape."""
        return requantised if self.table is None else look_up(self.table, requantised)

    @property
    def sources(self) -> tuple[str, ...]:
        """The tensors it reads, each once: its terms' in order, then its residual's and its gate's."""
        residual = self.residual.sources if self.residual else ()
        return tuple(dict.fromkeys((*(term.source for term in self.terms), *residual)))
