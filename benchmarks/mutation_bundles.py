"""The four small bundles that faults are put into: hundreds of cycles an image, so that verifying takes seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.emission import emit_bundle
from hwprm.graph import Add, AvgPool2d, Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Node, Relu
from hwprm.quantization import quantize_images, quantize_network

__all__ = ["BUNDLES", "make_bundle"]

#: Images that calibrate and are stored.
IMAGES = 8


def _weights(seed: int, *shape: int) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).normal(size=shape) / np.prod(shape[1:]) ** 0.5).astype(np.float32)


def _conv(name: str, source: str, shape: tuple[int, int, int, int], pad: int = 1, stride: int = 1) -> Conv2d:
    seed = sum(map(ord, name))
    return Conv2d(
        name=name,
        inputs=(source,),
        weight=_weights(seed, *shape),
        bias=_weights(seed + 1, shape[0]),
        padding=(pad,) * 4,
        stride=(stride, stride),
    )


def _linear(source: str, outputs: int, inputs: int) -> Linear:
    return Linear(name="fc", inputs=(source,), weight=_weights(5, outputs, inputs), bias=_weights(6, outputs))


def _regular() -> Graph:
    """All sizes powers of two: conv, relu, max pool, linear."""
    nodes: tuple[Node, ...] = (
        Input(name="image", inputs=(), shape=(1, 4, 4)),
        _conv("conv", "image", (4, 1, 3, 3)),
        Relu(name="relu", inputs=("conv",)),
        MaxPool2d(name="pool", inputs=("relu",), kernel=(2, 2), stride=(2, 2)),
        Flatten(name="flat", inputs=("pool",)),
        _linear("flat", 4, 16),
    )
    return Graph(nodes, ("fc",))


def _odd() -> Graph:
    """No size divides another: maps of 7 x 5, 7 filters on 5 columns and 3 rows, a pool whose windows overlap."""
    nodes: tuple[Node, ...] = (
        Input(name="image", inputs=(), shape=(2, 7, 5)),
        _conv("conv", "image", (7, 2, 3, 3)),
        Relu(name="relu", inputs=("conv",)),
        MaxPool2d(name="pool", inputs=("relu",), kernel=(3, 3), stride=(2, 2)),
        _conv("tail", "pool", (3, 7, 3, 1), pad=0),
        Flatten(name="flat", inputs=("tail",)),
        _linear("flat", 7, 6),
    )
    return Graph(nodes, ("fc",))


def _residual() -> Graph:
    """A residual sum, a stride of 2, an average pool."""
    nodes: tuple[Node, ...] = (
        Input(name="image", inputs=(), shape=(2, 4, 4)),
        _conv("stem", "image", (3, 2, 3, 3)),
        Relu(name="relu1", inputs=("stem",)),
        _conv("branch", "relu1", (3, 3, 3, 3)),
        Add(name="sum", inputs=("branch", "relu1")),
        Relu(name="relu2", inputs=("sum",)),
        _conv("down", "relu2", (4, 3, 3, 3), stride=2),
        Relu(name="relu3", inputs=("down",)),
        AvgPool2d(name="mean", inputs=("relu3",), kernel=(2, 2), stride=(2, 2)),
        Flatten(name="flat", inputs=("mean",)),
        _linear("flat", 3, 4),
    )
    return Graph(nodes, ("fc",))


#: Networks and arrays by the bundles' names.
BUNDLES = {
    "regular": (_regular, ArrayConfig(rows=2, cols=2)),
    "odd": (_odd, ArrayConfig(rows=3, cols=5)),
    "residual": (_residual, ArrayConfig(rows=2, cols=3)),
    "external": (_residual, ArrayConfig(rows=2, cols=3, weights="axi", axi_burst=2)),
}


def make_bundle(name: str, out: Path) -> None:
    """Write the bundle called `name` into the new folder `out`. Same version, same bytes."""
    graph, array = BUNDLES[name][0](), BUNDLES[name][1]
    shape = graph.inputs[0].shape
    x = {"image": np.random.default_rng(0).normal(size=(IMAGES, *shape))}
    net = quantize_network(graph, x, 1.0, name=name)
    emit_bundle(compile_network(net, array), quantize_images(x, 1.0, net), None, out)
