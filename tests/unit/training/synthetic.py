"""A tiny problem that trains in milliseconds."""

import numpy as np

from hwprm.data import Dataset
from hwprm.graph import BatchNorm, Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Node, Relu


def blobs(n=240, seed=0, name="blobs"):
    """Three classes of 8 x 8 byte images: a bright square in one of three places, noise everywhere."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.integers(0, 90, (n, 1, 8, 8))
    for i, label in enumerate(y):
        x[i, 0, 1 + 2 * label : 4 + 2 * label, 2:6] += 120
    x = x.astype(np.uint8)
    cut = n * 3 // 4
    return Dataset(
        name=name,
        source="made here",
        x_train=x[:cut],
        y_train=y[:cut].astype(np.int64),
        x_test=x[cut:],
        y_test=y[cut:].astype(np.int64),
        classes=3,
    )


def tiny_graph(seed=0, norm=False, padding=0, channels=6, hidden=12):
    """conv1 1->6 3x3, (bn1), relu, pool 2, conv2 6->8 2x2, relu, flatten, fc1 ->12, relu, fc2 -> 3."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return (rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)

    def zeros(n):
        return np.zeros(n, np.float32)

    nodes: list[Node] = [
        Input(name="image", inputs=(), shape=(1, 8, 8)),
        Conv2d(
            name="conv1",
            inputs=("image",),
            weight=draw(channels, 1, 3, 3),
            bias=zeros(channels),
            padding=(padding,) * 4,
        ),
    ]
    last = "conv1"
    if norm:
        arrays = {"weight": zeros(channels) + 1, "bias": zeros(channels), "mean": zeros(channels)}
        nodes.append(BatchNorm(name="bn1", inputs=(last,), var=zeros(channels) + 1, **arrays))
        last = "bn1"
    nodes += [
        Relu(name="relu1", inputs=(last,)),
        MaxPool2d(name="pool1", inputs=("relu1",), kernel=(2, 2), stride=(2, 2)),
        Conv2d(name="conv2", inputs=("pool1",), weight=draw(8, channels, 2, 2), bias=zeros(8), padding=(padding,) * 4),
        Relu(name="relu2", inputs=("conv2",)),
        Flatten(name="flat", inputs=("relu2",)),
    ]
    size = Graph(tuple(nodes), ("flat",)).shapes["flat"][0]
    nodes += [
        Linear(name="fc1", inputs=("flat",), weight=draw(hidden, size), bias=zeros(hidden)),
        Relu(name="relu3", inputs=("fc1",)),
        Linear(name="fc2", inputs=("relu3",), weight=draw(3, hidden), bias=zeros(3)),
    ]
    return Graph(tuple(nodes), ("fc2",))


def bits(graph):
    """Every array of every node, as bytes, by name."""
    return {
        f"{node.name}.{key}": value.tobytes()
        for node in graph.nodes
        for key, value in vars(node).items()
        if isinstance(value, np.ndarray)
    }
