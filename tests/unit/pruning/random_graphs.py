"""Random float64 networks with random zero rows, columns, channels and biases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from hwprm.graph import BatchNorm, Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Relu


def sparse(rng, weight, bias, keep=0.75):
    """Zero rows, input channels, columns; some biases zero, some negative."""
    m = len(bias)
    flat = weight.reshape(m, weight.shape[1], -1).copy()
    flat[rng.random(m) > keep] = 0
    flat[:, rng.random(flat.shape[1]) > keep] = 0
    flat *= rng.random(flat.shape[1:]) < keep
    return flat.reshape(weight.shape), bias * (rng.random(m) < 0.7)


class Builder:
    """Appends nodes to a chain (or to any earlier node)."""

    def __init__(self, shape, seed=0, keep=0.75):
        self.rng, self.keep = np.random.default_rng(seed), keep
        self.nodes = [Input(name="x", inputs=(), shape=shape)]
        self.last = "x"

    @property
    def shape(self):
        return Graph(tuple(self.nodes), (self.last,)).shapes[self.last]

    def add(self, node):
        self.nodes.append(node)
        self.last = node.name

    def name(self, kind):
        return f"{kind}{len(self.nodes)}"

    def conv(self, m, kernel=3, padding=0, stride=1, dilation=1, groups=1):
        c = self.shape[0]
        weight, bias = sparse(
            self.rng, self.rng.normal(size=(m, c // groups, kernel, kernel)), self.rng.normal(size=m), self.keep
        )
        pad = (padding,) * 4 if isinstance(padding, int) else padding
        self.add(
            Conv2d(
                name=self.name("conv"),
                inputs=(self.last,),
                weight=weight,
                bias=bias,
                padding=pad,
                stride=(stride, stride),
                dilation=(dilation, dilation),
                groups=groups,
            )
        )

    def linear(self, m):
        weight, bias = sparse(self.rng, self.rng.normal(size=(m, self.shape[0])), self.rng.normal(size=m), self.keep)
        self.add(Linear(name=self.name("fc"), inputs=(self.last,), weight=weight, bias=bias))

    def norm(self):
        c = self.shape[0]
        weight, bias, mean = self.rng.normal(size=(3, c))
        var = self.rng.random(c) + 0.5
        weight = weight * (self.rng.random(c) < 0.9)
        self.add(
            BatchNorm(name=self.name("bn"), inputs=(self.last,), weight=weight, bias=bias, mean=mean, var=var, eps=1e-5)
        )

    def relu(self):
        self.add(Relu(name=self.name("relu"), inputs=(self.last,)))

    def pool(self, stride=2, padding=0, ceil_mode=False):
        self.add(
            MaxPool2d(
                name=self.name("pool"),
                inputs=(self.last,),
                kernel=(2, 2),
                stride=(stride, stride),
                padding=(padding,) * 4,
                ceil_mode=ceil_mode,
            )
        )

    def flatten(self):
        self.add(Flatten(name=self.name("flat"), inputs=(self.last,)))

    def done(self, *outputs):
        return Graph(tuple(self.nodes), outputs or (self.last,))


@st.composite
def graphs(draw, grouped=True, padded=True):
    """A net of 1..4 convolutions and 1..2 linear layers; sometimes a second head on an earlier map."""
    b = Builder((draw(st.integers(1, 3)), 8, 7), draw(st.integers(0, 2**32)), draw(st.sampled_from([0.6, 0.8, 0.95])))
    outputs = []
    for _ in range(draw(st.integers(1, 4))):
        c, h, w = b.shape
        kernel, dilation, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
        padding = draw(st.sampled_from([0, 0, 1, 2, (1, 0, 0, 2)] if padded else [0]))
        if min(h, w) <= dilation * (kernel - 1):
            kernel = 1
        groups = draw(st.sampled_from([1, 1, 1, c])) if grouped else 1
        b.conv(groups * draw(st.integers(2, 4)), kernel, padding, stride, dilation, groups)
        for op in draw(st.lists(st.sampled_from(["norm", "relu", "pool"]), max_size=3, unique=True)):
            if op == "pool":
                if min(b.shape[1:]) >= 2:
                    b.pool(draw(st.integers(1, 2)), draw(st.integers(0, 1)), draw(st.booleans()))
            else:
                getattr(b, op)()
        if draw(st.integers(0, 5)) == 0:
            outputs.append(b.last)
    here = b.last
    b.flatten()
    for _ in range(draw(st.integers(0, 2))):
        b.linear(draw(st.integers(2, 5)))
        if draw(st.booleans()):
            b.norm()
        b.relu()
    b.linear(3)
    end = b.last
    if draw(st.booleans()):  # a second reader of the last map
        b.last = here
        b.conv(2, 1)
        outputs.append(b.last)
    return b.done(*dict.fromkeys([*outputs, end]))


def opened(graph, seed=0):
    """`graph` with its zeros kept and everything else positive: on positive images no ReLU hides a dependence."""
    rng, changed = np.random.default_rng(seed), []
    for node in graph.nodes:
        if isinstance(node, Conv2d | Linear | BatchNorm):
            arrays = {"weight": (node.weight != 0) * rng.uniform(0.5, 1, node.weight.shape)}
            arrays["bias"] = (node.bias != 0) * rng.uniform(0.5, 1, node.bias.shape)
            if isinstance(node, BatchNorm):
                arrays["mean"] = np.zeros_like(node.mean)
            changed.append(replace(node, **arrays))
    return graph.replace(*changed)


def with_dtype(graph, dtype):
    """`graph` with all arrays in `dtype`."""
    changed = []
    for node in graph.nodes:
        arrays = {k: v.astype(dtype) for k, v in vars(node).items() if isinstance(v, np.ndarray)}
        changed.append(replace(node, **arrays))
    return graph.replace(*changed)
