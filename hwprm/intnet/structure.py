"""The parts of an integer network and what follows from them: sizes, limits, bounds. Nothing is checked here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import ModelError
from hwprm.core.memo import kept
from hwprm.core.numerics import accumulator_bounds, product_bounds
from hwprm.intnet.images import image_limits
from hwprm.intnet.layers import GemmLayer, Tensor, Term
from hwprm.intnet.regions import meeting_terms

__all__ = ["Structure"]

IntArray = NDArray[np.int64]
Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Structure:
    """Layers in the order they run. `tensors` holds the inputs first, then every layer's result.

    The order of `inputs` is that of an image's parts, see `hwprm.intnet.images`.
    """

    name: str
    tensors: tuple[Tensor, ...]
    layers: tuple[GemmLayer, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weight_bits: int
    act_bits: int
    #: Images on which the references in torch and in numpy were compared when the network was quantised; 0 for none.
    crosschecked: int = 0

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

    @property
    def image_limits(self) -> tuple[IntArray, IntArray]:
        """Smallest and largest integer of every beat, arrays of the shape of one image (`hwprm.intnet.images`)."""
        return image_limits((self.tensor[name].shape, self.tensor[name].limits) for name in self.inputs)

    def conv_size(self, layer: GemmLayer) -> Pair:
        """Height and width of `layer`'s accumulator map before pooling."""
        term = layer.terms[0]
        return term.output_size(self.tensor[term.source].shape[1:])

    def computed_size(self, layer: GemmLayer) -> Pair:
        """Height and width of the map that `layer` computes: after pooling, before pixels are repeated."""
        size = self.conv_size(layer)
        return layer.pool.output_size(size) if layer.pool else size

    def spread(self, layer: GemmLayer) -> bool:
        """Whether `layer` has a gate of one pixel that counts for all pixels of a map."""
        residual = layer.residual
        if residual is None or residual.gate is None:
            return False
        return self.tensor[residual.gate.source].shape[1:] != self.tensor[residual.source].shape[1:]

    def rasters(self, layer: GemmLayer) -> tuple[str, ...]:
        """The tensors that `layer` reads pixel by pixel, each once."""
        gate = layer.residual.gate if layer.residual and self.spread(layer) else None
        maps = {*(term.source for term in layer.terms), *(layer.residual.sources[:1] if layer.residual else ())}
        return tuple(name for name in layer.sources if gate is None or name != gate.source or name in maps)

    def limits(self, name: str) -> Pair:
        """Smallest and largest integer that tensor `name` can hold: an input's own, else what its layer makes."""
        for layer in self.layers:
            if layer.name == name:
                return layer.limits
        return self.tensor[name].limits

    def accumulator_limits(self, layer: GemmLayer) -> Pair:
        """Smallest and largest value any accumulator of `layer` can take at any moment, proven from its weights.

        The bias counts, but not beside a residual: the two are added together, behind the array.
        """
        return self._bounds(layer, np.zeros_like(layer.bias) if layer.residual else layer.bias)

    def sum_limits(self, layer: GemmLayer) -> Pair:
        """Smallest and largest accumulator of `layer` with bias and residual, in any order of addition."""
        low, high = self._bounds(layer, layer.bias)
        if layer.residual:
            x_low, x_high = product_bounds([self.limits(name) for name in layer.residual.sources])
            largest = int(layer.residual.mult.max())
            low, high = low + largest * x_low, high + largest * x_high
        return low, high

    def _bounds(self, layer: GemmLayer, bias: IntArray) -> Pair:
        read = tuple(self.limits(term.source) for term in layer.terms)
        return kept(layer, ("bounds", bias is layer.bias, read), lambda: self._proven(layer, bias))

    def _proven(self, layer: GemmLayer, bias: IntArray) -> Pair:
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
