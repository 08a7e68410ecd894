"""Random integer networks: residual sums, concatenation, depthwise, grouped and strided layers, pools, dead weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from hwprm.intnet import GemmLayer, IntegerNetwork, Pool, Residual, Tensor, Term

__all__ = ["make_layer", "make_net", "networks", "tensor_of"]


def make_layer(rng, name, sources, m, *, kernel, padding=0, stride=1, dilation=1, groups=1, pool=None, wide=False):
    terms = tuple(
        Term(
            source=s.name,
            weight=rng.integers(-128, 128, (m, s.shape[0] // groups, *kernel)),
            stride=(stride, stride),
            padding=(padding,) * 4,
            dilation=(dilation, dilation),
            groups=groups,
        )
        for s in sources
    )
    return GemmLayer(
        name=name,
        terms=terms,
        bias=rng.integers(-3000, 3000, m),
        mult=rng.integers(1 << 15, 1 << 16, m),
        shift=rng.integers(24, 28, m),
        clamp=(-(2**31), 2**31 - 1) if wide else (0, 127),
        pool=pool,
        wide=wide,
    )


def tensor_of(layer, sources):
    size = layer.terms[0].output_size(sources[0].shape[1:])
    size = layer.pool.output_size(size) if layer.pool else size
    return Tensor(name=layer.name, shape=(len(layer.bias), *size), bits=32 if layer.wide else 8, scale=1.0)


def make_net(tensors, layers, outputs):
    return IntegerNetwork(
        name="t",
        tensors=tuple(tensors),
        layers=tuple(layers),
        inputs=("x",),
        outputs=outputs,
        weight_bits=8,
        act_bits=8,
    )


def sparsify(rng, layer):
    """Random zero rows, channels, columns, multipliers and biases."""
    terms = []
    rows = rng.random(len(layer.bias)) < 0.25
    for term in layer.terms:
        weight = term.weight.copy()
        weight[rows] = 0
        weight[:, rng.random(weight.shape[1]) < 0.15] = 0
        weight *= (rng.random(weight.shape[1:]) < 0.8)[None]
        terms.append(replace(term, weight=weight))
    bias = layer.bias * (rng.random(len(rows)) < 0.6) - 4000 * (rng.random(len(rows)) < 0.2)
    mult = layer.mult * (rng.random(len(rows)) < 0.95)
    return replace(layer, terms=tuple(terms), bias=bias, mult=mult)


def diagonal(rng, source):
    """A summand: every channel by itself, grouped or written out."""
    channels = source.shape[0]
    scale = rng.integers(1, 128, channels) * (rng.random(channels) < 0.8)
    if rng.random() < 0.5:
        return Term(source=source.name, weight=scale.reshape(-1, 1, 1, 1), groups=channels)
    return Term(source=source.name, weight=np.diag(scale)[:, :, None, None])


def add_residual(rng, layer, source):
    m = len(layer.bias)
    mult = rng.integers(1, 5000, m) * (rng.random(m) < rng.choice([0.2, 0.8]))
    residual = Residual(source=source.name, channel=rng.integers(0, source.shape[0], m), mult=mult)
    return replace(layer, residual=residual)


class Steps:
    """A network under construction; every step adds one layer."""

    def __init__(self, seed, channels):
        self.rng = np.random.default_rng(seed)
        self.tensors = [Tensor(name="x", shape=(channels, 7, 6), bits=8, scale=1.0)]
        self.layers = []

    def add(self, layer, source, residual=False):
        layer = sparsify(self.rng, layer)
        fits = [t for t in self.tensors if t.shape[1:] == tensor_of(layer, [source]).shape[1:]]
        if residual and fits and not layer.pool:
            layer = add_residual(self.rng, layer, fits[self.rng.integers(len(fits))])
        self.layers.append(layer)
        self.tensors.append(tensor_of(layer, [source]))

    def sources(self, draw):
        """A tensor, mostly the newest, and those with maps of the same size."""
        first = draw(st.sampled_from([self.tensors[-1], self.tensors[-1], *self.tensors]))
        return first, [t for t in self.tensors if t.shape[1:] == first.shape[1:] and t is not first]

    def conv(self, draw):
        """A convolution of any kind; with several terms it reads a concatenation."""
        rng, name = self.rng, f"l{len(self.layers)}"
        source, others = self.sources(draw)
        c, h, w = source.shape
        groups = draw(st.sampled_from([1, 1, 1, c, *(g for g in range(2, c) if c % g == 0)]))
        kernel = draw(st.sampled_from([(1, 1), (3, 3), (2, 3), (h, w)]))
        padding, stride, dilation = draw(st.integers(0, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
        if draw(st.booleans()):  # a layer that keeps the map's size, so that sums and residuals fit
            kernel, padding, stride, dilation = draw(st.sampled_from([((1, 1), 0, 1, 1), ((3, 3), 1, 1, 1)]))
        fits = all(s + 2 * padding > dilation * (k - 1) for s, k in zip((h, w), kernel, strict=True))
        padding, dilation = (padding, dilation) if fits else (max(kernel) // 2, 1)
        sources = [source]
        if groups == 1 and others and draw(st.booleans()):
            sources.append(draw(st.sampled_from(others)))
        layer = make_layer(
            rng,
            name,
            sources,
            groups * draw(st.integers(1, 2) if groups > 1 else st.integers(2, 7)),
            kernel=kernel,
            padding=padding,
            stride=stride,
            dilation=dilation,
            groups=groups,
        )
        pool = Pool(
            kernel=(2, 2),
            stride=(draw(st.integers(1, 2)),) * 2,
            padding=draw(st.sampled_from([(0,) * 4, (1,) * 4, (1, 0, 0, 1)])),
            ceil_mode=draw(st.booleans()),
        )
        if min(layer.terms[0].output_size((h, w))) >= 2 and draw(st.booleans()):
            layer = replace(layer, pool=pool)
        self.add(layer, source, residual=draw(st.booleans()))

    def sum(self, draw):
        """A residual sum of tensors of one shape, sometimes with a convolution as one more term."""
        source, others = self.sources(draw)
        alike = [t for t in others if t.shape == source.shape]
        if not alike:
            return self.conv(draw)
        chosen = [source, *draw(st.lists(st.sampled_from(alike), min_size=1, max_size=2, unique_by=lambda t: t.name))]
        layer = make_layer(self.rng, f"l{len(self.layers)}", [source], source.shape[0], kernel=(3, 3), padding=1)
        terms = tuple(diagonal(self.rng, t) for t in chosen)
        self.add(replace(layer, terms=(*terms, *(layer.terms if draw(st.booleans()) else ()))), source)


@st.composite
def networks(draw, largest=7):
    """A net of 1 to `largest` layers on random earlier tensors, then a head; sometimes a second output."""
    steps = Steps(draw(st.integers(0, 2**32)), draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(1, largest))):
        draw(st.sampled_from([steps.conv, steps.conv, steps.sum]))(draw)
    ends = [steps.tensors[-1], *([draw(st.sampled_from(steps.tensors))] if draw(st.booleans()) else [])]
    heads = [
        make_layer(steps.rng, f"y{i}", [end], 3, kernel=end.shape[1:] if draw(st.booleans()) else (1, 1), wide=True)
        for i, end in enumerate(ends)
    ]
    tensors = [*steps.tensors, *(tensor_of(head, [end]) for head, end in zip(heads, ends, strict=True))]
    return make_net(tensors, [*steps.layers, *heads], tuple(head.name for head in heads))
