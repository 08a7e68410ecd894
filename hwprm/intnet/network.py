"""`IntegerNetwork`: a list of GEMM layers over integer tensors, exactly what the accelerator computes.

Every layer is the same sentence, whatever the source operator was::

    acc[m, y, x] = bias[m] + sum over terms, c, ky, kx of weight[m, c, ky, kx] * x[c, tap(y, ky), tap(x, kx)]
    acc          = maximum over the pooling window, where there is one
    acc[m, y, x] = acc[m, y, x] + residual.mult[m] * r[residual.channel[m], y, x], where there is a residual
    out          = requantise(acc, mult[m], shift[m], clamp_low, clamp_high)
    tensor       = every pixel of out, repeated in a rectangle of `upsample`, (1, 1) as a rule

A fully connected layer on a map ``(C, H, W)`` is a convolution whose kernel is the whole map (output 1 x 1), on
a vector ``(K,)`` a 1 x 1 convolution of ``(K, 1, 1)``; ReLU is a clamp whose lower end is 0; batch norm is in the
weights; flatten is a relabelling. A residual sum is a second term, or the residual of a layer without pooling. A term
with a `region` adds to the pixels of that rectangle only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from hwprm.errors import ModelError
from hwprm.graph.nodes import conv_output_size, pool_output_size
from hwprm.intnet.regions import meeting_terms
from hwprm.numerics import accumulator_bounds, signed_range

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["GemmLayer", "IntegerNetwork", "Pool", "Residual", "Tensor", "Term"]

IntArray = NDArray[np.int64]
Pair = tuple[int, int]
Quad = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A map of integers ``(C, H, W)`` of `bits` bits; the real value is ``integer * scale``."""

    name: str
    shape: tuple[int, int, int]
    bits: int
    scale: float


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
class Residual:
    """What a layer adds to its sums, pixel by pixel: filter m gets ``mult[m] * x[channel[m]]`` of tensor `source`.

    channel and mult ``(M,)``, mult never negative; 0 adds nothing to its filter, whatever the channel.
    """

    source: str
    channel: IntArray
    mult: IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class GemmLayer:
    """One layer; it makes the tensor of its own `name`. bias, mult, shift ``(M,)``.

    `wide` marks a network output: 32-bit words that leave the accelerator instead of activations.
    `upsample` is how often each pixel stands below and beside itself in the layer's tensor (nearest neighbour).
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

    @property
    def sources(self) -> tuple[str, ...]:
        """The tensors it reads, each once: its terms' in order, then its residual's."""
        residual = (self.residual.source,) if self.residual else ()
        return tuple(dict.fromkeys((*(term.source for term in self.terms), *residual)))


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerNetwork:
    """Layers in the order they run. `tensors` holds the inputs first, then every layer's result.

    The order of `inputs` is that of an image's parts, see `hwprm.intnet.images`.

    Raises ModelError when names, shapes or ranges do not fit together.
    """

    name: str
    tensors: tuple[Tensor, ...]
    layers: tuple[GemmLayer, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weight_bits: int
    act_bits: int

    def __post_init__(self) -> None:
        from hwprm.intnet.checks import check_network

        check_network(self)

    @cached_property
    def tensor(self) -> Mapping[str, Tensor]:
        """Tensor of each name."""
        return {tensor.name: tensor for tensor in self.tensors}

    @property
    def input(self) -> Tensor:
        """The single input tensor. Raises ModelError when there are several."""
        if len(self.inputs) != 1:
            raise ModelError(f"the network has {len(self.inputs)} inputs, one is needed here")
        return self.tensor[self.inputs[0]]

    @property
    def input_shapes(self) -> dict[str, tuple[int, int, int]]:
        """``(C, H, W)`` of every input, in order."""
        return {name: self.tensor[name].shape for name in self.inputs}

    def conv_size(self, layer: GemmLayer) -> Pair:
        """Height and width of `layer`'s accumulator map before pooling."""
        term = layer.terms[0]
        return term.output_size(self.tensor[term.source].shape[1:])

    def computed_size(self, layer: GemmLayer) -> Pair:
        """Height and width of the map that `layer` computes: after pooling, before pixels are repeated."""
        size = self.conv_size(layer)
        return layer.pool.output_size(size) if layer.pool else size

    def limits(self, name: str) -> Pair:
        """Smallest and largest integer that tensor `name` can hold: an input's width, else its layer's clamp."""
        for layer in self.layers:
            if layer.name == name:
                return layer.clamp
        return signed_range(self.tensor[name].bits)

    def accumulator_limits(self, layer: GemmLayer) -> Pair:
        """Smallest and largest value any accumulator of `layer` can take at any moment, proven from its weights.

        The bias counts, but not beside a residual: the two are added together, behind the array.
        """
        return self._bounds(layer, np.zeros_like(layer.bias) if layer.residual else layer.bias)

    def sum_limits(self, layer: GemmLayer) -> Pair:
        """Smallest and largest accumulator of `layer` with bias and residual, in any order of addition."""
        low, high = self._bounds(layer, layer.bias)
        if layer.residual:
            x_low, x_high = self.limits(layer.residual.source)
            largest = int(layer.residual.mult.max())
            low, high = low + largest * min(x_low, 0), high + largest * max(x_high, 0)
        return low, high

    def _bounds(self, layer: GemmLayer, bias: IntArray) -> Pair:
        groups = meeting_terms([term.region for term in layer.terms])
        bounds = [self._bounds_of([layer.terms[i] for i in group], np.asarray(bias, np.int64)) for group in groups]
        return min(low for low, _ in bounds), max(high for _, high in bounds)

    def _bounds_of(self, terms: Sequence[Term], bias: IntArray) -> Pair:
        """Limits of an accumulator to which only `terms` add."""
        low = high = 0
        first = bias
        for term in terms:
            x_low, x_high = self.limits(term.source)
            rows = np.asarray(term.weight, np.int64).reshape(len(bias), -1)
            bounds = accumulator_bounds(rows, first, min(x_low, 0), max(x_high, 0))
            low, high = low + bounds[0], high + bounds[1]
            first = np.zeros_like(bias)  # it is in the first term's bounds
        return min(low, int(bias.min())), max(high, int(bias.max()))

    def save(self, folder: Path) -> None:
        """Write ``network.json`` and ``weights.safetensors`` into `folder`. Same network, same bytes."""
        from hwprm.intnet.files import save_network

        save_network(self, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises ModelError when it is missing, cut short or of another format."""
        from hwprm.intnet.files import load_network

        return load_network(cls, folder)
