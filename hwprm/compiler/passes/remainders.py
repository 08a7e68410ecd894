"""The filters that fill no tile as a layer of their own, where column phases then fill it; the same integers come out.

Ten filters on eight columns are two tiles, and the second leaves six columns idle. As a layer of their own its two
filters run with four phases (`hwprm.compiler.timing.phases`): the other eight stay as they are, which a choice for the
whole layer would not let them. Readers see two tensors where they saw one, side by side in their sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hwprm.compiler.layout.geometry import can_phase
from hwprm.compiler.layout.layout import Layout
from hwprm.compiler.passes.rewritten import Rewritten, all_channels, as_it_is
from hwprm.compiler.timing.cycles import count_cycles
from hwprm.compiler.timing.phases import best_layout
from hwprm.config import ArrayConfig
from hwprm.intnet import GemmLayer, IntegerNetwork, Residual, Term

__all__ = ["split_remainders"]


def split_remainders(net: IntegerNetwork, array: ArrayConfig) -> Rewritten:
    """A pass: with phases ``split``, `net` with the last filters of layers as ``<layer>_rest`` where that saves cycles.

    Layers whose tensor is an output, a residual or a gate, or is read by a grouped convolution, stay whole: those name
    the channels of one tensor.
    """
    if array.phases != "split":
        return as_it_is(net)
    layout = best_layout(net, array)
    chosen = [geo.index for geo in layout.geometry if _may_split(net, net.layers[geo.index], array) and can_phase(geo)]
    made = _split(net, chosen, array)
    if chosen:  # what a layer saves is its own, but for the number of banks, which all share: judged once more together
        saved = _saved(layout, best_layout(made, array))
        better = [index for index in chosen if saved[net.layers[index].name] > 0]
        if better != chosen:
            chosen, made = better, _split(net, better, array)
    if not chosen or count_cycles(best_layout(made, array)).total >= count_cycles(layout).total:
        return as_it_is(net)
    kept = all_channels(net) | {name: numbers for name, numbers in all_channels(made).items() if name in net.tensor}
    return Rewritten(network=made, kept=kept)


def _may_split(net: IntegerNetwork, layer: GemmLayer, array: ArrayConfig) -> bool:
    """Whether the last tile of `layer` has columns for two phases, and all that reads it can read two tensors."""
    rest = len(layer.bias) % array.cols
    if len(layer.bias) < array.cols or not 0 < 2 * rest <= array.cols or layer.name in net.outputs:
        return False
    if any(term.groups > 1 for term in layer.terms):
        return False
    for reader in net.layers:
        if reader.residual and layer.name in reader.residual.sources:
            return False
        if any(term.source == layer.name and term.groups > 1 for term in reader.terms):
            return False
    return True


def _saved(before: Layout, after: Layout) -> dict[str, int]:
    """Cycles that each layer takes fewer; those of what was split from it count as its own."""
    took = {layer.name: layer.cycles for layer in count_cycles(before).layers}
    takes = {layer.name: layer.cycles for layer in count_cycles(after).layers}
    names = {rest: name for name in took for rest in takes if rest not in took and rest.startswith(f"{name}_rest")}
    saved = dict(took)
    for name, cycles in takes.items():
        saved[names.get(name, name)] -= cycles
    return saved


def _split(net: IntegerNetwork, chosen: Sequence[int], array: ArrayConfig) -> IntegerNetwork:
    """`net` with the remainders of the layers numbered `chosen` as layers of their own."""
    layers: list[GemmLayer] = []
    tensors = dict(net.tensor)
    rests: dict[str, tuple[str, int]] = {}  # of a layer that was split: its remainder, and the filters before it
    for index, layer in enumerate(net.layers):
        layer = replace(layer, terms=tuple(part for term in layer.terms for part in _parts(term, rests)))
        if index not in chosen:
            layers.append(layer)
            continue
        rest, tensor = f"{layer.name}_rest", tensors[layer.name]
        while rest in tensors:
            rest += "_"
        count = len(layer.bias)
        first = count - count % array.cols
        rests[layer.name] = rest, first
        layers += [_filters(layer, layer.name, 0, first), _filters(layer, rest, first, count)]
        tensors[layer.name] = replace(tensor, shape=(first, *tensor.shape[1:]))
        tensors[rest] = replace(tensor, name=rest, shape=(count - first, *tensor.shape[1:]))
    order = [*net.inputs, *(layer.name for layer in layers)]
    return replace(net, layers=tuple(layers), tensors=tuple(tensors[name] for name in order))


def _parts(term: Term, rests: dict[str, tuple[str, int]]) -> tuple[Term, ...]:
    """`term`, or where what it reads was split, one for each part; a part without weights is left out."""
    if term.source not in rests:
        return (term,)
    rest, first = rests[term.source]
    parts = (
        replace(term, weight=term.weight[:, :first]),
        replace(term, source=rest, weight=term.weight[:, first:]),
    )
    return tuple(part for part in parts if part.weight.any()) or parts[:1]


def _filters(layer: GemmLayer, name: str, first: int, last: int) -> GemmLayer:
    """Filters first..last-1 of `layer`, as a layer called `name`."""
    own = slice(first, last)
    return replace(
        layer,
        name=name,
        terms=tuple(replace(term, weight=term.weight[own]) for term in layer.terms),
        bias=layer.bias[own],
        mult=layer.mult[own],
        shift=layer.shift[own],
        residual=layer.residual and _residual(layer.residual, own),
    )


def _residual(residual: Residual, own: slice) -> Residual:
    gate = residual.gate and replace(residual.gate, channel=residual.gate.channel[own])
    return replace(residual, channel=residual.channel[own], mult=residual.mult[own], gate=gate)
