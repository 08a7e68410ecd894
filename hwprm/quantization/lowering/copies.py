"""Identity copies for tensors that are read at row lengths which no memory layout serves together. numpy only.

A layer that computes rows of `width` pixels, `step` samples of its source apart, wants a row pitch P with
``step_y * P = step_x * width`` modulo the number of banks (docs/hardware.md). Readers with the same ratio
``step_x * width / step_y`` agree whatever the number of banks; a reader that differs gets a copy of the tensor.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hwprm.quantization.lowering.fused import FusedLayer, FusedNetwork, FusedResidual, Map
from hwprm.quantization.lowering.start import identity_layer
from hwprm.quantization.lowering.views import whole_view

__all__ = ["add_copies"]


def add_copies(net: FusedNetwork) -> FusedNetwork:
    """`net` with identity layers in front of the readers that disagree about their tensor's pitch, one per row ratio.

    A copy reads its tensor at the ratio of the tensor's width, so readers of that ratio stay and all others move.
    Networks whose readers agree come back unchanged.
    """
    moves: dict[tuple[str, Fraction | None], str] = {}
    taken = set(net.shapes) | set(net.tensor_of)
    for name, (_, _, width) in net.shapes.items():
        ratios = _ratios(net, name)
        apart = [ratio for ratio in ratios if ratio != width] if len(ratios) > 1 else []
        moves |= {(name, ratio): _free(f"{name}_copy", taken) for ratio in apart}
    shapes = dict(net.shapes)
    layers: list[FusedLayer] = []
    for layer in net.layers:
        ratio = _ratio(layer, net.shapes)
        instead = {source: moves.get((source, ratio), source) for source in layer.rasters}
        for old, new in instead.items():
            if new not in shapes:
                shapes[new] = shapes[old]
                view = whole_view(old, shapes[old])
                layers.append(identity_layer(new, view, {old: view.shape[0]}))
        terms = tuple(replace(term, source=instead[term.source]) for term in layer.terms)
        residual = layer.residual and _moved(layer.residual, instead)
        layers.append(replace(layer, terms=terms, residual=residual))
    return replace(net, layers=tuple(layers), shapes=shapes)


def _moved(residual: FusedResidual, instead: dict[str, str]) -> FusedResidual:
    gate = residual.gate and replace(residual.gate, source=instead.get(residual.gate.source, residual.gate.source))
    return replace(residual, source=instead[residual.source], gate=gate)


def _ratios(net: FusedNetwork, name: str) -> tuple[Fraction, ...]:
    """The different row ratios at which tensor `name` is read, in order."""
    readers = [layer for layer in net.layers if name in layer.rasters]
    return tuple(dict.fromkeys(ratio for layer in readers if (ratio := _ratio(layer, net.shapes)) is not None))


def _ratio(layer: FusedLayer, shapes: dict[str, Map]) -> Fraction | None:
    """Row ratio of a layer; None for a single row, which fits any layout."""
    _, height, width = shapes[layer.name]
    height, width = height // layer.upsample[0], width // layer.upsample[1]  # as computed
    if height == 1:
        return None
    pool = layer.pool.stride if layer.pool else (1, 1)
    stride = layer.terms[0].stride
    return Fraction(stride[1] * pool[1] * width, stride[0] * pool[0])


def _free(wish: str, taken: set[str]) -> str:
    name, i = wish, 1
    while name in taken:
        i += 1
        name = f"{wish}_{i}"
    taken.add(name)
    return name
