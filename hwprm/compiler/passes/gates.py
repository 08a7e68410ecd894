"""Gates of one pixel as maps, in designs with batches.

All lanes read the one activation of such a gate together, so they have to be of one image. With batches lanes run on
from image to image; there an identity layer repeats the gate's pixel over the map, and the product reads that.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwprm.compiler.passes.rewritten import Rewritten, all_channels, as_it_is
from hwprm.config import ArrayConfig
from hwprm.core.numerics import choose_multiplier
from hwprm.intnet import GemmLayer, IntegerNetwork, Tensor, Term

__all__ = ["spread_gates"]


def spread_gates(net: IntegerNetwork, array: ArrayConfig) -> Rewritten:
    """A pass: for a batch, `net` with a layer ``<layer>_gate`` in front of each product whose gate is one pixel."""
    layers: list[GemmLayer] = []
    tensors = dict(net.tensor)
    for layer in net.layers:
        residual = layer.residual
        if array.batch > 1 and net.spread(layer) and residual and residual.gate:
            name = f"{layer.name}_gate"
            while name in tensors:
                name += "_"
            gate, size = residual.gate, net.conv_size(layer)
            pixel = tensors[gate.source]
            tensors[name] = replace(pixel, name=name, shape=(pixel.shape[0], *size))
            layers.append(_repeating(name, pixel, net.limits(gate.source), size))
            layer = replace(layer, residual=replace(residual, gate=replace(gate, source=name)))
        layers.append(layer)
    if len(layers) == len(net.layers):
        return as_it_is(net)
    order = [*net.inputs, *(layer.name for layer in layers)]
    spread = replace(net, layers=tuple(layers), tensors=tuple(tensors[name] for name in order))
    return Rewritten(network=spread, kept=all_channels(net))


def _repeating(name: str, pixel: Tensor, limits: tuple[int, int], size: tuple[int, int]) -> GemmLayer:
    """The identity on every integer of `pixel`, which repeats it over a map of `size`."""
    count = pixel.shape[0]
    mult, shift = choose_multiplier(1.0)
    return GemmLayer(
        name=name,
        terms=(Term(source=pixel.name, weight=np.ones((count, 1, 1, 1), np.int64), groups=count),),
        bias=np.zeros(count, np.int64),
        mult=np.full(count, mult),
        shift=np.full(count, shift),
        clamp=limits,
        upsample=size,
    )
