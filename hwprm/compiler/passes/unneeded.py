"""Exact removal of what an integer network does not need: filters, channels, terms, layers.

Two sweeps over the layers reach the fixed point:

1. *Constants, forward.* A filter without a weight makes the constant map ``requantize(bias)``. Where a reader's tap
   never falls on padding, constant times weight moves into the reader's bias and the weight becomes zero; a zero
   constant and a tap that only ever reads padding contribute nothing in any case. Readers come later in the order,
   so a filter that loses its last weight this way is itself seen as constant.
   The same holds for the channels that a residual adds, which are never read outside the map; for those with a gate
   where both are constant, or one of them 0.
2. *Need, backward.* A channel is needed when a needed filter reads it with a weight, or adds it with a residual
   multiplier, that is not zero. Network inputs
   and outputs are always needed. Channels and filters of one group of a grouped convolution stay or go together, but
   for 1 x 1 depthwise layers (copies, pools), whose filters choose channels: where others need more of what they read
   they become one group.

Removing channels nobody needs makes no further constants, so one round of both is the fixed point; only a grouped
convolution that lost all groups but one, and so its bond, makes a second round worth while.
No sum needs more bits than before: a folded constant lies within the range its channel had.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwprm.compiler.passes.rewritten import Rewritten, all_channels, as_it_is
from hwprm.config import ArrayConfig
from hwprm.core.errors import ModelError
from hwprm.core.geometry import Window, window_taps
from hwprm.core.numerics import requantize
from hwprm.intnet import Gate, GemmLayer, IntegerNetwork, Residual, Term

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["remove_unneeded"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
#: Value of each constant channel, by channel number.
Constants = dict[int, int]


def remove_unneeded(net: IntegerNetwork, _: ArrayConfig | None = None) -> Rewritten:
    """A pass: `net` without the filters, channels, terms and layers that no output depends on, for any array.

    Raises ModelError when an output no longer depends on the input, naming the layers without weights.
    """
    done = _remove_once(net)
    while (again := _remove_once(done.network)).kept != all_channels(done.network):
        kept = {name: tuple(done.kept[name][i] for i in index) for name, index in again.kept.items()}
        done = Rewritten(network=again.network, kept=kept)
    _check_outputs(done.network)
    return done if _changed(net, done.network) else as_it_is(net)


def _changed(net: IntegerNetwork, other: IntegerNetwork) -> bool:
    """Whether the layers of `other`, made from those of `net`, lack anything or hold other numbers."""
    if net.tensors != other.tensors:
        return True
    return any(
        [term.source for term in one.terms] != [term.source for term in two.terms]
        or (one.residual is None) != (two.residual is None)
        or not all(np.array_equal(a, b) for a, b in zip(_arrays(one), _arrays(two), strict=True))
        for one, two in zip(net.layers, other.layers, strict=True)
    )


def _arrays(layer: GemmLayer) -> list[IntArray]:
    residual = [layer.residual.channel, layer.residual.mult] if layer.residual else []
    gate = [layer.residual.gate.channel] if layer.residual and layer.residual.gate else []
    return [layer.bias, *residual, *gate, *(term.weight for term in layer.terms)]


def _remove_once(net: IntegerNetwork) -> Rewritten:
    folded = _fold_constants(net)
    chosen = replace(folded, layers=tuple(map(_as_choice, folded.layers)))
    need = _needed_channels(chosen)
    layers = tuple(
        grouped if all(np.array_equal(need[grouped.name], need[name]) for name in grouped.sources) else choice
        for grouped, choice in zip(folded.layers, chosen.layers, strict=True)
    )
    folded = replace(folded, layers=layers)
    kept = {name: np.flatnonzero(mask) for name, mask in need.items() if mask.any()}
    layers = tuple(_kept_layer(folded, layer, kept) for layer in folded.layers if layer.name in kept)
    tensors = tuple(
        replace(tensor, shape=(len(kept[tensor.name]), *tensor.shape[1:]))
        for tensor in folded.tensors
        if tensor.name in kept
    )
    network = replace(folded, layers=layers, tensors=tensors)
    return Rewritten(network=network, kept={name: tuple(map(int, index)) for name, index in kept.items()})


def _as_choice(layer: GemmLayer) -> GemmLayer:
    """A layer of 1 x 1 depthwise terms with these as one group each: filter c reads channel c."""
    if not all(term.weight.shape[1:] == (1, 1, 1) and term.groups == len(term.weight) > 1 for term in layer.terms):
        return layer
    terms = [replace(term, weight=np.diag(term.weight.reshape(-1))[..., None, None], groups=1) for term in layer.terms]
    return replace(layer, terms=tuple(terms))


def _fold_constants(net: IntegerNetwork) -> IntegerNetwork:
    """Sweep 1: every constant moved into the biases of its readers where that is exact."""
    constants: dict[str, Constants] = {name: {} for name in net.inputs}
    layers = []
    for layer in net.layers:
        folded = _fold_layer(net, layer, constants)
        constants[layer.name] = _constants_of(net, folded)
        layers.append(folded)
    return replace(net, layers=tuple(layers))


def _fold_layer(net: IntegerNetwork, layer: GemmLayer, constants: Mapping[str, Constants]) -> GemmLayer:
    bias = np.array(layer.bias, dtype=np.int64)
    terms = []
    for term in layer.terms:
        weight = np.array(term.weight, dtype=np.int64)
        size = net.tensor[term.source].shape[1:]
        kernel = (weight.shape[2], weight.shape[3])
        window = Window(kernel=kernel, stride=term.stride, padding=term.padding, dilation=term.dilation)
        taps = window_taps(size, term.output_size(size), window, term.region)
        weight[:, :, taps.never] = 0
        always = taps.always & (term.region is None)  # a bias is for the whole map
        for channel, value in constants[term.source].items():
            group, local = divmod(channel, weight.shape[1])
            filters = _group_filters(term, group)
            exact = always | (value == 0)  # padding is zero too
            bias[filters] += value * (weight[filters, local] * exact).sum(axis=(1, 2))
            weight[filters, local] *= ~exact
        weight[layer.mult == 0] = 0
        terms.append(replace(term, weight=weight))
    residual = layer.residual
    if residual:
        known, fixed = _fixed(residual, constants)
        bias += residual.mult * fixed
        residual = replace(residual, mult=np.where(known | (layer.mult == 0), 0, residual.mult))
    bias[layer.mult == 0] = 0  # whatever is accumulated, such a filter puts out what 0 becomes
    return replace(layer, terms=tuple(terms), bias=bias, residual=residual)


def _fixed(residual: Residual, constants: Mapping[str, Constants]) -> tuple[BoolArray, IntArray]:
    """Whether what each filter adds is the same number whatever the image, and that number; 0 where it is not."""
    known, value = _values(residual, constants)
    if residual.gate:
        gated, factor = _values(residual.gate, constants)
        zero = (known & (value == 0)) | (gated & (factor == 0))
        known, value = (known & gated) | zero, value * factor
    return known, value


def _values(source: Residual | Gate, constants: Mapping[str, Constants]) -> tuple[BoolArray, IntArray]:
    fixed = [constants[source.source].get(int(channel)) for channel in source.channel]
    return np.array([number is not None for number in fixed]), np.array([number or 0 for number in fixed])


def _constants_of(net: IntegerNetwork, layer: GemmLayer) -> Constants:
    """Filters of `layer` without a weight, and the value they put out everywhere."""
    if layer.pool is not None:
        pool, size = layer.pool, net.conv_size(layer)
        window = Window(kernel=pool.kernel, stride=pool.stride, padding=pool.padding, dilation=pool.dilation)
        taps = window_taps(size, pool.output_size(size), window)
        if not taps.seen:  # a window of nothing but padding has no maximum
            return {}
    silent = np.logical_and.reduce([~term.weight.any(axis=(1, 2, 3)) for term in layer.terms])
    if layer.residual:
        silent &= layer.residual.mult == 0
    value = layer.finished(requantize(layer.bias, layer.mult, layer.shift, *layer.clamp))
    return {int(m): int(value[m]) for m in np.flatnonzero(silent)}


def _needed_channels(net: IntegerNetwork) -> dict[str, BoolArray]:
    """Sweep 2: for each tensor ``(C,)``, is the channel needed?"""
    always = {*net.inputs, *net.outputs}
    need = {tensor.name: np.full(tensor.shape[0], tensor.name in always) for tensor in net.tensors}
    _mark_all(net, need)
    for layer in reversed(net.layers):
        if need[layer.name].any() and not _reads_something(layer, need):
            need[layer.terms[0].source][0] = True  # constants that could not be folded: a layer reads something
            _mark_all(net, need)
    return need


def _reads_something(layer: GemmLayer, need: dict[str, BoolArray]) -> bool:
    if layer.residual and layer.residual.mult[need[layer.name]].any():
        return True
    return any(need[term.source].any() for term in layer.terms)


def _mark_all(net: IntegerNetwork, need: dict[str, BoolArray]) -> None:
    """Spread `need` (changed in place) to everything that needed filters read."""
    before = -1
    while (total := sum(int(mask.sum()) for mask in need.values())) != before:  # one turn, more with groups only
        before = total
        for layer in reversed(net.layers):
            for term in layer.terms:
                _mark_needed(term, need[layer.name], need[term.source])
            if layer.residual:
                adding = need[layer.name] & (layer.residual.mult != 0)
                need[layer.residual.source][layer.residual.channel[adding]] = True
                if layer.residual.gate:
                    need[layer.residual.gate.source][layer.residual.gate.channel[adding]] = True


def _mark_needed(term: Term, filters: BoolArray, channels: BoolArray) -> None:
    """Mark in `channels` (in place) what the needed `filters` read; whole groups where there are several."""
    width = term.weight.shape[1]
    for group in range(term.groups):
        mine, reads = _group_filters(term, group), slice(group * width, (group + 1) * width)
        if term.groups == 1:
            channels[reads] |= term.weight[mine][filters[mine]].any(axis=(0, 2, 3))
        elif filters[mine].any() or (filters.any() and channels[reads].any()):  # a layer nobody reads has no bonds
            filters[mine] = True
            channels[reads] = True


def _group_filters(term: Term, group: int) -> slice:
    height = term.weight.shape[0] // term.groups
    return slice(group * height, (group + 1) * height)


def _kept_layer(net: IntegerNetwork, layer: GemmLayer, kept: Mapping[str, NDArray[np.intp]]) -> GemmLayer:
    filters = kept[layer.name]
    left = [_kept_term(term, filters, kept[term.source]) for term in layer.terms if term.source in kept]
    residual = layer.residual and _kept_residual(layer.residual, filters, kept)
    spare = [_no_weights(residual, len(filters), len(kept[residual.source]))] if residual else left[:1]
    terms = [term for term in left if term.weight.any()] or spare
    per_filter = {key: getattr(layer, key)[filters] for key in ("bias", "mult", "shift")}
    return replace(layer, terms=tuple(terms), residual=residual, **per_filter)


def _kept_residual(
    residual: Residual, filters: NDArray[np.intp], kept: Mapping[str, NDArray[np.intp]]
) -> Residual | None:
    """None where nothing is left to add; a filter without a residual names channel 0."""
    channel, mult = residual.channel[filters], residual.mult[filters]
    if not mult.any():
        return None
    gate = residual.gate
    if gate:
        gate = replace(gate, channel=_places(kept[gate.source], gate.channel[filters], mult))
    return replace(residual, channel=_places(kept[residual.source], channel, mult), mult=mult, gate=gate)


def _places(kept: NDArray[np.intp], channel: IntArray, mult: IntArray) -> IntArray:
    """Where the channels that are multiplied with a `mult` other than 0 stand among those `kept`; else 0."""
    return np.where(mult != 0, np.searchsorted(kept, channel), 0).astype(np.int64)


def _no_weights(residual: Residual, filters: int, channels: int) -> Term:
    """The term of a layer that only passes its residual on: a layer has one, and this one keeps nothing else alive.
    Of products, which are large as a rule, in groups.
    """
    groups = filters if residual.gate and filters == channels else 1
    return Term(source=residual.source, weight=np.zeros((filters, channels // groups, 1, 1), np.int64), groups=groups)


def _kept_term(term: Term, filters: NDArray[np.intp], channels: NDArray[np.intp]) -> Term:
    if term.groups == 1:
        return replace(term, weight=term.weight[np.ix_(filters, channels)])
    height = term.weight.shape[0] // term.groups  # whole groups are kept, so the channels of each are complete
    return replace(term, weight=term.weight[filters], groups=len(filters) // height)


def _check_outputs(net: IntegerNetwork) -> None:
    """Raise ModelError when an output does not depend on the input."""
    alive = set(net.inputs)
    for layer in net.layers:
        live = {term.source for term in layer.terms if term.weight.any()}
        if layer.residual:
            live.update(layer.residual.sources)
        if live & alive:
            alive.add(layer.name)
    for name in net.outputs:
        if name not in alive:
            empty = [layer.name for layer in net.layers if not any(term.weight.any() for term in layer.terms)]
            raise ModelError(
                f"output {name!r} does not depend on the input: no weight that matters is left in "
                f"{', '.join(map(repr, empty or [name]))}; prune these layers less"
            )
