"""What could still be removed from an integer network, found by brute force: take a channel away and look.

The network is run with random real weights in place of those that are not zero, without clamps, and with every pixel
of a map mixed into all others, so that nothing cancels by chance and an output changes exactly when it depends on a
channel. (Mixing, because compaction reasons about channels: it keeps one whose only read pixels a later stride skips.)
A filter without a weight keeps the constant that it puts out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwprm.core.numerics import requantize
from tests.unit.compiler.plain import pooled, summed

__all__ = ["removable"]


def removable(net):
    """Sets of channels {(tensor, channel)} that no output depends on, or that are constants biases could take over.

    Channels that a group of a grouped convolution ties together are tried together. What a layer without weights
    reads only because it must read something, and what that needs, is left out; so is what a channel needs that stays
    only because it is tied to others, as each channel that stays keeps its integers.
    """
    rng = np.random.default_rng(0)
    generic, constants = _generic(net, rng)
    images = rng.normal(size=(12, *net.input.shape))
    ends = {(name, c) for name in (*net.inputs, *net.outputs) for c in range(net.tensor[name].shape[0])}
    idle = [
        key
        for bundle in _bundles(net)
        if len(bundle) > 1 and (bundle & ends or any(_matters(generic, constants, bundle, image) for image in images))
        for key in bundle
        if not any(_matters(generic, constants, {key}, image) for image in images)
    ]
    form = _for_form(net, idle)
    found = []
    for bundle in _bundles(net):
        if bundle & (form | ends):
            continue
        if all(key in constants for key in bundle):
            gone = all(_foldable(net, name, channel, constants[name, channel]) for name, channel in bundle)
        else:
            gone = not any(_matters(generic, constants, bundle, image) for image in images)
        found += [sorted(bundle)] if gone else []
    return found


def _generic(net, rng):
    layers, constants = [], {}
    for layer in net.layers:
        terms = [
            replace(
                t, weight=(t.weight != 0) * rng.uniform(0.5, 1.5, t.weight.shape) * rng.choice([-1, 1], t.weight.shape)
            )
            for t in layer.terms
        ]
        residual = layer.residual
        if residual:
            residual = replace(residual, mult=(residual.mult != 0) * rng.uniform(0.5, 1.5, len(residual.mult)))
        layers.append(replace(layer, terms=tuple(terms), bias=rng.normal(size=len(layer.bias)), residual=residual))
        value = requantize(layer.bias, layer.mult, layer.shift, *layer.clamp)
        silent = ~np.any([t.weight.any(axis=(1, 2, 3)) for t in layer.terms], axis=0)
        if layer.residual:
            silent &= layer.residual.mult == 0
        constants |= {(layer.name, int(m)): float(value[m]) for m in np.flatnonzero(silent)}
    return (net, layers), constants


def _run(generic, constants, image, gone=frozenset()):
    net, layers = generic
    values = {net.inputs[0]: image}
    for layer in layers:
        acc = sum(summed(values[t.source], t) for t in layer.terms) + layer.bias[:, None, None]
        out = pooled(acc, layer.pool) if layer.pool else acc
        if layer.residual:
            out = out + layer.residual.mult[:, None, None] * values[layer.residual.source][layer.residual.channel]
        out = out + out.mean(axis=(1, 2), keepdims=True) + acc.mean(axis=(1, 2), keepdims=True)
        for m in range(len(out)):
            if (layer.name, m) in constants:
                out[m] = constants[layer.name, m]
            if (layer.name, m) in gone:
                out[m] = 0
        values[layer.name] = out
    return [values[name] for name in net.outputs]


def _matters(generic, constants, bundle, image):
    before, after = _run(generic, constants, image), _run(generic, constants, image, bundle)
    return any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def _foldable(net, name, channel, value):
    """Does every reader add the same amount everywhere for this constant?"""
    for layer in net.layers:
        for term in layer.terms:
            if term.source == name:
                image = np.zeros(net.tensor[name].shape)
                image[channel] = value
                maps = summed(image, term)
                if not (maps == maps[:, :1, :1]).all():
                    return False
    return True


def _bundles(net):
    """All channels, in sets that go together: channels and filters of one group of a grouped convolution."""
    bundle = {(t.name, c): {(t.name, c)} for t in net.tensors for c in range(t.shape[0])}
    for layer in net.layers:
        for term in layer.terms:
            width, height = term.weight.shape[1], len(term.weight) // term.groups
            for g in range(term.groups if term.groups > 1 else 0):
                tied = [(term.source, c) for c in range(g * width, (g + 1) * width)]
                tied += [(layer.name, m) for m in range(g * height, (g + 1) * height)]
                joined = set().union(*(bundle[key] for key in tied))
                bundle |= dict.fromkeys(joined, joined)
    return list({id(one): one for one in bundle.values()}.values())


def _for_form(net, idle):
    """The channel that a layer without weights reads, the `idle` ones, and everything that these need."""
    wanted = idle + [
        (layer.terms[0].source, 0)
        for layer in net.layers
        if not layer.residual and not any(term.weight.any() for term in layer.terms)
    ]
    makers = {layer.name: layer for layer in net.layers}
    tied = {key: one for one in _bundles(net) for key in one}
    form = set()
    while wanted:
        key = wanted.pop()
        if key in form:
            continue
        form.add(key)
        wanted += tied[key]
        if key[0] in makers:
            residual = makers[key[0]].residual
            if residual and residual.mult[key[1]]:
                wanted.append((residual.source, int(residual.channel[key[1]])))
            for term in makers[key[0]].terms:
                first = key[1] // (len(term.weight) // term.groups) * term.weight.shape[1]
                used = np.flatnonzero(term.weight[key[1]].any(axis=(1, 2)))
                wanted += [(term.source, int(first + c)) for c in used]
    return form
