"""The rules of one operator against its own float meaning: what they promise is tried out, number by number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from hwprm.graph import Graph, Input, Node
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.node import Weighted
from hwprm.nets import GraphModule

__all__ = ["assert_rules_agree"]

Shape = tuple[int, ...]


def assert_rules_agree(node: Node, shapes: Sequence[Shape], seed: int = 0) -> None:
    """Shape, torch, links, constants, cutting and file of `node`, which reads inputs called a, b, ... of `shapes`."""
    names = [chr(ord("a") + i) for i in range(len(shapes))]
    assert list(node.inputs) == names
    images = [Input(name=name, inputs=(), shape=shape) for name, shape in zip(names, shapes, strict=True)]
    graph = Graph((*images, node), (node.name,))
    rng = np.random.default_rng(seed)
    xs = [rng.normal(size=(2, *shape)) for shape in shapes]
    made = _made(node, graph, xs)
    assert made.shape[1:] == graph.shapes[node.name] == node.infer_shape(*shapes)
    with torch.no_grad():
        computed = GraphModule(graph).double().eval()(*[torch.from_numpy(x) for x in xs])
    np.testing.assert_allclose(computed.numpy(), made, atol=1e-9)
    _check_reads(node, graph, xs, made)
    if not isinstance(node, Weighted):
        _check_constants(node, graph, xs, rng)
    _check_cut(node, graph, xs, rng)
    with TemporaryDirectory() as folder:
        graph.save(Path(folder))
        again = Graph.load(Path(folder)).by_name[node.name]
    np.testing.assert_array_equal(_made(again, graph, xs), made)
    assert node.describe() and node.quantised(shapes)


def _made(node: Node, graph: Graph, xs: Sequence[np.ndarray]) -> np.ndarray:
    return node.evaluate(*xs, shape=graph.shapes[node.name])


def _check_reads(node: Node, graph: Graph, xs: Sequence[np.ndarray], made: np.ndarray) -> None:
    """A channel of an input changes those channels that read it, and no other."""
    shapes = [x.shape[1:] for x in xs]
    channels = made.shape[1]
    reads = [node.reads(np.arange(channels) == c, shapes) for c in range(channels)]
    for i, x in enumerate(xs):
        for source in range(x.shape[1]):
            other = [array.copy() for array in xs]
            other[i][:, source] += 0.5
            change = _made(node, graph, other) != made
            changed = change.reshape(len(made), channels, -1).any(axis=(0, 2))
            told = np.array([reads[c][i][source] for c in range(channels)])
            assert not (changed & ~told).any(), f"input {i}: channel {source} changes {np.flatnonzero(changed & ~told)}"


def _check_constants(node: Node, graph: Graph, xs: Sequence[np.ndarray], rng: np.random.Generator) -> None:
    """Channels that are told to be constant are, with the value that is told."""
    shapes = [x.shape[1:] for x in xs]
    for share in (1.0, 0.5):
        constants, arrays = [], []
        for x in xs:
            known = rng.random(x.shape[1]) < share
            value = np.where(known, rng.choice([-1.5, 0.0, 2.0], x.shape[1]), 0.0)
            per_channel = (1, -1, *[1] * (x.ndim - 2))
            arrays.append(np.where(known.reshape(per_channel), value.reshape(per_channel), x))
            constants.append(Constants(known, value))
        made = _made(node, graph, arrays)
        told = node.constants(constants, shapes)
        assert told.known.shape == told.value.shape == (made.shape[1],)
        for c in np.flatnonzero(told.known):
            np.testing.assert_allclose(made[:, c], told.value[c], atol=1e-12)
        assert not told.value[~told.known].any()


def _check_cut(node: Node, graph: Graph, xs: Sequence[np.ndarray], rng: np.random.Generator) -> None:
    """What is left of the node makes, of the channels that are left, what the whole one makes of them and zeros."""
    shapes = [x.shape[1:] for x in xs]
    channels = graph.shapes[node.name][0]
    for _ in range(4):
        out = rng.random(channels) < 0.5
        if not out.any():
            out[0] = True
        ins = [mask.copy() for mask in node.reads(out, shapes)]
        for _ in range(3):
            node.bond(out, ins, shapes)
        if not all(mask.any() for mask in ins):
            continue
        arrays = [x * mask.reshape(1, -1, *[1] * (x.ndim - 2)) for x, mask in zip(xs, ins, strict=True)]
        small = node.cut(out, ins)
        cut = [x[:, mask] for x, mask in zip(xs, ins, strict=True)]
        shape = small.infer_shape(*(x.shape[1:] for x in cut))
        np.testing.assert_allclose(small.evaluate(*cut, shape=shape), _made(node, graph, arrays)[:, out], atol=1e-9)
