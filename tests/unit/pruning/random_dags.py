"""Random float64 networks with sums, concatenations, channel selections, depthwise and grouped layers, and pools."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from hwprm.graph import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm,
    Channels,
    Clamp,
    Concat,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Relu,
    Unflatten,
    Upsample,
)
from tests.unit.pruning.random_graphs import Builder, opened

STEPS = ("conv", "conv", "conv", "depthwise", "grouped", "norm", "relu", "clamp", "max", "mean", "add", "add", "add")
STEPS += ("concat", "concat", "channels", "blank", "upsample", "adaptive")


class DagBuilder(Builder):
    """A `Builder` that can also join tensors."""

    def __init__(self, shape, seed=0, keep=0.75):
        super().__init__(shape, seed, keep)
        self.shapes = {"x": shape}

    def add(self, node):
        self.shapes[node.name] = node.infer_shape(*(self.shapes[name] for name in node.inputs))
        super().add(node)

    @property
    def shape(self):
        return self.shapes[self.last]

    def input(self, name, shape):
        self.add(Input(name=name, inputs=(), shape=shape))

    def sum(self, *names):
        self.add(Add(name=self.name("add"), inputs=names))

    def concat(self, *names):
        self.add(Concat(name=self.name("cat"), inputs=names))

    def channels(self, *indices):
        self.add(Channels(name=self.name("sel"), inputs=(self.last,), indices=indices))

    def clamp(self, low, high):
        self.add(Clamp(name=self.name("clamp"), inputs=(self.last,), low=low, high=high))

    def mean(self, kernel=2, stride=2, padding=0, ceil_mode=False, count=True):
        self.add(
            AvgPool2d(
                name=self.name("mean"),
                inputs=(self.last,),
                kernel=(kernel, kernel),
                stride=(stride, stride),
                padding=(padding,) * 4,
                ceil_mode=ceil_mode,
                count_include_pad=count,
            )
        )


@st.composite
def dags(draw, padded=True, grouped=True):
    """A net of 3..12 random operators on random earlier tensors, then a head; at times two inputs, or two outputs."""
    b = DagBuilder(
        (draw(st.integers(1, 3)), 6, 5), draw(st.integers(0, 2**32)), draw(st.sampled_from([0.6, 0.8, 0.95]))
    )
    b.conv(draw(st.integers(2, 4)), 1)
    if draw(st.integers(0, 2)) == 0:
        _second_input(draw, b)
    for _ in range(draw(st.integers(2, 11))):
        # Mostly the newest tensor, so that the nets get deep.
        names = list(b.shapes)
        b.last = draw(st.sampled_from([names[-1], names[-1], *names[1:]]))
        step = draw(st.sampled_from(STEPS if grouped else [s for s in STEPS if s != "grouped"]))
        _step(draw, b, step, padded)
    end = b.last
    extra = [draw(st.sampled_from(list(b.shapes)[1:]))] if draw(st.integers(0, 3)) == 0 else []
    b.last = end
    if draw(st.booleans()):
        if draw(st.booleans()):
            b.mean(min(b.shape[1:]), 1)
        b.flatten()
        if draw(st.integers(0, 2)) == 0:  # a vector beside the flattened map
            flat = b.last
            b.input("v", (draw(st.integers(1, 4)),))
            b.linear(draw(st.integers(1, 3)))
            b.concat(*draw(st.permutations([flat, b.last])))
        b.linear(3)
        if draw(st.booleans()):
            b.add(Unflatten(name=b.name("map"), inputs=(b.last,)))
            b.conv(2, 1)
    return b.done(*dict.fromkeys([*extra, b.last]))


def _second_input(draw, b):
    """An input of its own channels: joined with what there is, left for later steps to read, or read by nobody."""
    first, (c, h, w) = b.last, b.shape
    b.input("z", (draw(st.integers(1, 3)), h, w))
    kind = draw(st.sampled_from(["sum", "concat", "raw concat", "later", "unread"]))
    if kind in ("later", "unread"):
        b.last = first if kind == "unread" else b.last
        b.conv(c, 1)
        return
    if kind != "raw concat":
        b.conv(c, 1)
    (b.sum if kind == "sum" else b.concat)(first, b.last)


def _step(draw, b, step, padded):
    c, h, w = b.shape
    kernel = draw(st.sampled_from([1, 2, 3])) if min(h, w) >= 3 else 1
    padding = draw(st.sampled_from([0, 1, (1, 0, 0, 1)])) if padded else 0
    if step in ("conv", "blank"):
        b.conv(draw(st.integers(2, 5)), kernel, padding, draw(st.integers(1, 2)))
        if step == "blank":  # what pruning leaves of a branch: nothing, or its biases
            b.nodes[-1].weight[:] = 0
            b.nodes[-1].bias[:] *= draw(st.booleans())
    elif step == "depthwise":
        b.conv(c * draw(st.integers(1, 2)), kernel, padding, groups=c)
    elif step == "grouped" and c % 2 == 0:
        b.conv(2 * draw(st.integers(1, 3)), kernel, padding, groups=2)
    elif step in ("norm", "relu"):
        getattr(b, step)()
    elif step == "clamp":
        b.clamp(*draw(st.sampled_from([(0.0, 6.0), (-1.0, 1.0), (None, 0.5), (-0.5, None)])))
    elif step == "max" and min(h, w) >= 2:
        b.pool(draw(st.integers(1, 2)), draw(st.integers(0, 1)), draw(st.booleans()))
    elif step == "mean" and min(h, w) >= 2:
        pad = draw(st.integers(0, 1)) if padded else 0
        b.mean(2, draw(st.integers(1, 2)), pad, draw(st.booleans()), draw(st.booleans()))
    elif step == "upsample" and max(h, w) < 7:
        b.add(Upsample(name=b.name("up"), inputs=(b.last,), factors=(draw(st.integers(1, 2)), draw(st.integers(1, 2)))))
    elif step == "adaptive":
        size = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
        b.add(AdaptiveAvgPool2d(name=b.name("adapt"), inputs=(b.last,), size=size))
    elif step == "channels":
        b.channels(*draw(st.lists(st.integers(0, c - 1), min_size=1, max_size=5)))
    elif step == "concat":
        same = [name for name, shape in b.shapes.items() if shape[1:] == (h, w)]
        b.concat(b.last, *draw(st.lists(st.sampled_from(same), min_size=1, max_size=2)))
    elif step == "add":
        _sum(draw, b, draw(st.integers(0, 3)))


def _sum(draw, b, kind):
    """A sum with an earlier tensor of the same shape, or with a branch that ends in it."""
    here, (c, h, w) = b.last, b.shape
    same = [name for name, shape in b.shapes.items() if shape == (c, h, w)]
    other = draw(st.sampled_from(same))
    if kind or other == here:
        source = draw(st.sampled_from([name for name, shape in b.shapes.items() if shape[1:] == (h, w)]))
        b.last = source
        b.conv(c, 1)
        if kind == 1:
            b.norm()
            b.relu()
        if kind == 2 and draw(st.booleans()):
            b.nodes[-1].weight[:] = 0
        other = b.last
    b.sum(*draw(st.permutations([here, other])))


def opened_dag(graph):
    """`opened`, and clamps with nothing above them: what is needed then shows in the outputs."""
    graph = opened(graph)
    return graph.replace(*(replace(x, low=0.0, high=None) for x in graph.nodes if isinstance(x, Clamp)))


def channel_groups(graph):
    """Which channels only go together, by union-find: lists of (tensor, channel), those of inputs and outputs left out.

    A second statement of the dependency rules, one channel at a time.
    """
    parent = {(name, c): (name, c) for name, shape in graph.shapes.items() for c in range(shape[0])}

    def root(key):
        while parent[key] != key:
            key = parent[key]
        return key

    for node in graph.nodes:
        for a, b in _ties(node, graph.shapes):
            parent[root(a)] = root(b)
    ends = (*(node.name for node in graph.inputs), *graph.outputs)
    fixed = {root((name, c)) for name in ends for c in range(graph.shapes[name][0])}
    groups = {}
    for key in parent:
        if root(key) not in fixed:
            groups.setdefault(root(key), []).append(key)
    return list(groups.values())


def _ties(node, shapes):
    count = shapes[node.name][0]
    if isinstance(node, Conv2d) and node.groups > 1:
        inputs = shapes[node.inputs[0]][0]
        for c in range(inputs):
            yield (node.inputs[0], c), (node.name, c * node.groups // inputs * count // node.groups)
        for m in range(count):
            yield (node.name, m), (node.name, m * node.groups // count * count // node.groups)
    elif isinstance(
        node, Relu | Clamp | BatchNorm | MaxPool2d | AvgPool2d | AdaptiveAvgPool2d | Unflatten | Upsample | Add
    ):
        for name in node.inputs:
            yield from (((name, c), (node.name, c)) for c in range(count))
    elif isinstance(node, Flatten):
        pixels = count // shapes[node.inputs[0]][0]
        yield from (((node.inputs[0], c // pixels), (node.name, c)) for c in range(count))
    elif isinstance(node, Concat):
        offset = 0
        for name in node.inputs:
            yield from (((name, c), (node.name, offset + c)) for c in range(shapes[name][0]))
            offset += shapes[name][0]
    elif isinstance(node, Channels):
        yield from (((node.inputs[0], node.indices[c]), (node.name, c)) for c in range(count))


def without(graph, group):
    """`graph` in which the channels of `group` are zero: its filters and batch norm channels made blank."""
    changed = []
    for node in graph.nodes:
        rows = [c for name, c in group if name == node.name]
        if rows and isinstance(node, Conv2d | Linear | BatchNorm):
            weight, bias = node.weight.copy(), node.bias.copy()
            weight[rows], bias[rows] = 0, 0
            changed.append(replace(node, weight=weight, bias=bias))
    return graph.replace(*changed)


def images(graph, n=2, seed=0):
    """A normal batch, by input."""
    rng = np.random.default_rng(seed)
    return {node.name: rng.normal(size=(n, *node.shape)) for node in graph.inputs}


def positive_images(graph, n=1):
    """A batch of positive values, by input."""
    return {name: np.abs(array) + 0.1 for name, array in images(graph, n).items()}
