"""The rules an integer network keeps; run whenever one is made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import ModelError
from hwprm.core.geometry import Window, window_taps
from hwprm.core.names import check_name
from hwprm.core.numerics import (
    ACC_BITS_MAX,
    MULT_BITS,
    RESIDUAL_BITS_MAX,
    SHIFT_MAX,
    SHIFT_MIN,
    WIDE_BITS,
    integer_range,
    signed_range,
    signed_width,
)
from hwprm.intnet.layers import Gate, GemmLayer, Pool, Residual, Term
from hwprm.intnet.structure import Structure

__all__ = ["check_network"]

IntArray = NDArray[np.int64]


def check_network(net: Structure) -> None:
    """Raise ModelError, naming the layer, at the first rule that `net` breaks."""
    check_name("the network", net.name)
    for tensor in net.tensors:
        check_name("a tensor", tensor.name)
    for label, bits in (("weight_bits", net.weight_bits), ("act_bits", net.act_bits)):
        if not 2 <= bits <= 16:
            raise ModelError(f"{label} must be in 2..16, not {bits}")
    if len(net.tensor) != len(net.tensors):
        raise ModelError("two tensors share a name; give every layer its own")
    if not net.inputs or len(set(net.inputs)) != len(net.inputs):
        raise ModelError(f"the network's inputs are {list(net.inputs)}; it needs at least one, each named once")
    for name in net.inputs:
        if name not in net.tensor:
            raise ModelError(f"input {name!r} is no tensor of the network")
    for name in net.outputs:
        if name not in {layer.name for layer in net.layers}:
            raise ModelError(f"output {name!r} is no layer of the network")
    known = set(net.inputs)
    for layer in net.layers:
        _check_layer(net, layer, known)
        known.add(layer.name)


def _check_layer(net: Structure, layer: GemmLayer, known: set[str]) -> None:
    m = len(layer.bias)
    if m == 0 or not layer.terms:
        raise ModelError(f"layer {layer.name!r} has no filters left; prune it less")
    for source in layer.sources:
        if source not in known:
            raise ModelError(f"layer {layer.name!r} reads {source!r}, which no earlier layer makes")
        if source in net.outputs:
            raise ModelError(f"layer {layer.name!r} reads the network output {source!r}, whose words are too wide")
    for term in layer.terms:
        channels = net.tensor[term.source].shape[0]
        if term.weight.shape[0] != m or term.weight.shape[1] * term.groups != channels or m % term.groups:
            raise ModelError(
                f"layer {layer.name!r}: weight {term.weight.shape} in {term.groups} groups "
                f"does not fit {channels} channels and {m} filters"
            )
        low, high = signed_range(net.weight_bits)
        if term.weight.min() < low or term.weight.max() > high:
            raise ModelError(f"layer {layer.name!r}: a weight does not fit {net.weight_bits} bits")
    sizes = {term.output_size(net.tensor[term.source].shape[1:]) for term in layer.terms}
    if len(sizes) != 1:
        raise ModelError(f"layer {layer.name!r}: its terms make maps of different sizes {sorted(sizes)}")
    size = sizes.pop()
    if layer.pool:
        _check_pool(layer.name, layer.pool, size)
    for term in layer.terms:
        _check_region(layer.name, term, size)
    out = layer.pool.output_size(size) if layer.pool else size
    _check_upsample(layer)
    made = (m, out[0] * layer.upsample[0], out[1] * layer.upsample[1])
    if net.tensor[layer.name].shape != made:
        raise ModelError(f"layer {layer.name!r} makes {made}, its tensor says {net.tensor[layer.name].shape}")
    if layer.residual:
        _check_residual(net, layer, layer.residual)
    _check_requantisation(net, layer)
    low, high = net.sum_limits(layer)
    if signed_width(low, high) > ACC_BITS_MAX:
        raise ModelError(
            f"layer {layer.name!r} needs a {signed_width(low, high)}-bit accumulator, {ACC_BITS_MAX} is the most; "
            "use fewer weight or activation bits"
        )


def _check_region(name: str, term: Term, size: tuple[int, int]) -> None:
    if term.region is None:
        return
    top, bottom, left, right = term.region
    if not (0 <= top < bottom <= size[0] and 0 <= left < right <= size[1]):
        raise ModelError(f"layer {name!r}: the region {term.region} of a term lies outside its map {size}")


def _check_upsample(layer: GemmLayer) -> None:
    if min(layer.upsample) < 1:
        raise ModelError(f"layer {layer.name!r} repeats its pixels {layer.upsample} times; give 1 or more")
    if layer.wide and layer.upsample != (1, 1):
        raise ModelError(f"network output {layer.name!r} repeats its pixels; put an identity layer behind it")


def _check_pool(name: str, pool: Pool, size: tuple[int, int]) -> None:
    window = Window(kernel=pool.kernel, stride=pool.stride, padding=pool.padding, dilation=pool.dilation)
    taps = window_taps(size, pool.output_size(size), window)
    if not taps.seen:
        raise ModelError(f"layer {name!r}: a pooling window lies wholly in the padding; use less padding")


def _check_residual(net: Structure, layer: GemmLayer, residual: Residual) -> None:
    if not (residual.channel.shape == residual.mult.shape == layer.bias.shape):
        raise ModelError(f"layer {layer.name!r}: the residual's channel and mult must have one entry per filter")
    if layer.pool:
        raise ModelError(f"layer {layer.name!r}: a layer that pools adds no residual; make the sum a layer of its own")
    channels, *size = net.tensor[residual.source].shape
    if residual.channel.min() < 0 or residual.channel.max() >= channels:
        raise ModelError(f"layer {layer.name!r}: a residual channel is outside 0..{channels - 1}")
    made = net.conv_size(layer)
    if tuple(size) != made:
        raise ModelError(f"layer {layer.name!r} makes a map {made}, the residual {residual.source!r} is {tuple(size)}")
    if residual.mult.min() < 0 or residual.mult.max() >= 1 << RESIDUAL_BITS_MAX:
        raise ModelError(f"layer {layer.name!r}: a residual multiplier is outside 0..{(1 << RESIDUAL_BITS_MAX) - 1}")
    if residual.gate:
        _check_gate(net, layer, residual, residual.gate)


def _check_gate(net: Structure, layer: GemmLayer, residual: Residual, gate: Gate) -> None:
    if gate.channel.shape != layer.bias.shape:
        raise ModelError(f"layer {layer.name!r}: the gate's channel must have one entry per filter")
    channels, *size = net.tensor[gate.source].shape
    if gate.channel.min() < 0 or gate.channel.max() >= channels:
        raise ModelError(f"layer {layer.name!r}: a gate's channel is outside 0..{channels - 1}")
    made = net.conv_size(layer)
    if tuple(size) not in (made, (1, 1)):
        raise ModelError(
            f"layer {layer.name!r} makes a map {made}, the gate {gate.source!r} is {tuple(size)}; "
            "it may be as large, or one pixel"
        )
    if residual.mult.max() > 1:
        raise ModelError(f"layer {layer.name!r}: a multiplier of a residual with a gate is neither 0 nor 1")


def _check_requantisation(net: Structure, layer: GemmLayer) -> None:
    if not (layer.bias.shape == layer.mult.shape == layer.shift.shape):
        raise ModelError(f"layer {layer.name!r}: bias, mult and shift must have one entry per filter")
    if np.any(layer.mult < 0) or np.any(layer.mult >= 1 << MULT_BITS):
        raise ModelError(f"layer {layer.name!r}: a multiplier is outside 0..{(1 << MULT_BITS) - 1}")
    if np.any(layer.shift < SHIFT_MIN) or np.any(layer.shift > SHIFT_MAX):
        raise ModelError(f"layer {layer.name!r}: a shift is outside {SHIFT_MIN}..{SHIFT_MAX}")
    if layer.wide != (layer.name in net.outputs):
        raise ModelError(f"layer {layer.name!r}: `wide` belongs to network outputs, and to them only")
    signed = net.tensor[layer.name].signed
    if layer.wide and not signed:
        raise ModelError(f"layer {layer.name!r}: the words of a network output are signed, its tensor is not")
    if layer.table is not None:
        _check_table(net, layer, layer.table)
        signed = layer.clamp[0] < 0
    low, high = integer_range(WIDE_BITS if layer.wide else net.act_bits, signed)
    if not low <= layer.clamp[0] <= layer.clamp[1] <= high:
        raise ModelError(f"layer {layer.name!r}: clamp {layer.clamp} must lie in {low}..{high}")


def _check_table(net: Structure, layer: GemmLayer, table: IntArray) -> None:
    if layer.wide:
        raise ModelError(f"network output {layer.name!r} has a table, which makes no words; copy its tensor behind it")
    if table.shape != (1 << net.act_bits,):
        raise ModelError(f"layer {layer.name!r}: its table has the shape {table.shape}, not ({1 << net.act_bits},)")
    low, high = net.tensor[layer.name].limits
    if table.min() < low or table.max() > high:
        raise ModelError(f"layer {layer.name!r}: its table holds integers outside {low}..{high}")
