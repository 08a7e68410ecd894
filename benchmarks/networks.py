"""The integer networks that the benchmarks run. Cycles depend on shapes and zeros alone, so untrained ones serve."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from masks import structured_mask
from numpy.typing import NDArray
from torch import nn

from hwprm.data import Dataset, load_dataset
from hwprm.frontend import to_graph
from hwprm.graph import Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Relu
from hwprm.intnet import IntegerNetwork
from hwprm.nets import NETWORKS, lenet5_graph, reference_network
from hwprm.pruning.admm.budgets import PRESETS
from hwprm.quantization import quantize_network
from hwprm.sources import as_network

__all__ = [
    "MASKS",
    "Mask",
    "convolution",
    "dense_lenet5",
    "embedded",
    "fully_connected",
    "mobilenet_v2",
    "pruned_lenet5",
    "reference",
    "reference_graph",
    "reference_images",
    "slim_lenet",
    "stored_network",
    "thinned",
]

#: Positions of one map behind LeNet-5's flatten.
MAP = 16


@dataclass(frozen=True, kw_only=True)
class Mask:
    """How far a reference network is pruned: `rate` over convolution weights, the other words as `structured_mask`."""

    rate: float
    width: float
    multiple: int = 16
    linear: float | None = None


#: The rates of the papers; filters kept in multiples of the array's columns, as `admm.round_to` asks for.
#: How a rate is shared between filters and columns is free. ResNet-18 keeps a fifth of its filters: with a quarter its
#: lists are shorter and residual entries weigh more (16x16: 1.13 x the bound, speed-up 0.89 x the reduction).
MASKS = {
    "vgg16-cifar": Mask(rate=50, width=0.25),
    "resnet18-cifar": Mask(rate=60, width=0.2),
    "alexnet": Mask(rate=5, width=0.75, linear=0.2),
    "resnet18": Mask(rate=5, width=0.75),
    "resnet50": Mask(rate=2.7, width=0.75, multiple=32),
}


def reference_graph(name: str, mask: Mask | None = None, seed: int = 0) -> Graph:
    """The reference network called `name` with random weights, dense or compacted under a seeded structured mask."""
    graph = to_graph(reference_network(name, seed).eval(), NETWORKS[name].image)
    return graph if mask is None else structured_mask(graph, seed=seed, **dataclasses.asdict(mask))


def reference(name: str, mask: Mask | None = None, seed: int = 0) -> IntegerNetwork:
    """`reference_graph` as integers, its scales from a few random images."""
    title = name if mask is None else f"{name}-{mask.rate:g}x"
    return quantize_network(reference_graph(name, mask, seed), reference_images(name), 1 / 255, name=title)


def reference_images(name: str, count: int = 4, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth random images for the network called `name`, ``(count, C, H, W)``."""
    shape = NETWORKS[name].image
    coarse = np.random.default_rng(seed).integers(0, 256, (count, shape[0], 8, 8), dtype=np.uint8)
    return coarse.repeat(shape[1] // 8, axis=2).repeat(shape[2] // 8, axis=3)


@cache
def embedded() -> Dataset:
    """The embedded MNIST subset; calibrates the scales and gives test images."""
    return load_dataset("mnist_subset")


def dense_lenet5(seed: int = 0) -> IntegerNetwork:
    """LeNet-5 with random weights, nothing pruned."""
    return _quantised(lenet5_graph(seed), "lenet5-dense")


def pruned_lenet5(seed: int = 0) -> IntegerNetwork:
    """LeNet-5 with a random structured mask of the sizes that the pruning stage aims at by default.

    Every kept column belongs to a channel that the layer before makes, as after unused-path removal.
    """
    rng = np.random.default_rng(seed)
    graph = lenet5_graph(seed)
    channels = np.zeros(1, np.int64)
    made = {}
    for layer in graph.weighted:
        budget = PRESETS["lenet5-40x"].budgets[layer.name]
        weight = layer.weight.reshape(len(layer.bias), -1)
        group = {"conv1": 25, "conv2": 25, "fc1": MAP, "fc2": 1}[layer.name]
        readable = (channels[:, None] * group + np.arange(group)).ravel()
        columns = _choose(rng, readable, budget.columns, group)
        rows = np.sort(rng.permutation(len(weight))[: budget.filters])
        kept = np.zeros_like(weight)
        kept[np.ix_(rows, columns)] = weight[np.ix_(rows, columns)]
        made[layer.name] = dataclasses.replace(layer, weight=kept.reshape(layer.weight.shape))
        channels = rows
    nodes = tuple(made.get(node.name, node) for node in graph.nodes)
    return _quantised(Graph(nodes, graph.outputs), "lenet5-pruned")


def slim_lenet(widths: tuple[int, int, int, int] = (5, 10, 40, 10), seed: int = 0) -> IntegerNetwork:
    """A LeNet of other widths, dense: conv 5x5, pool, conv 5x5, pool, linear, linear, with ReLUs between."""
    rng = np.random.default_rng(seed)
    one, two, three, four = widths

    def weight(*shape: int) -> NDArray[np.float32]:
        return rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)

    def bias(count: int) -> NDArray[np.float32]:
        return np.zeros(count, np.float32)

    nodes = (
        Input(name="image", inputs=(), shape=(1, 28, 28)),
        Conv2d(name="conv1", inputs=("image",), weight=weight(one, 1, 5, 5), bias=bias(one)),
        Relu(name="relu1", inputs=("conv1",)),
        MaxPool2d(name="pool1", inputs=("relu1",), kernel=(2, 2), stride=(2, 2)),
        Conv2d(name="conv2", inputs=("pool1",), weight=weight(two, one, 5, 5), bias=bias(two)),
        Relu(name="relu2", inputs=("conv2",)),
        MaxPool2d(name="pool2", inputs=("relu2",), kernel=(2, 2), stride=(2, 2)),
        Flatten(name="flatten", inputs=("pool2",)),
        Linear(name="fc1", inputs=("flatten",), weight=weight(three, two * MAP), bias=bias(three)),
        Relu(name="relu3", inputs=("fc1",)),
        Linear(name="fc2", inputs=("relu3",), weight=weight(four, three), bias=bias(four)),
    )
    return _quantised(Graph(nodes, ("fc2",)), "lenet-" + "-".join(map(str, widths)))


class _Inverted(nn.Module):
    """MobileNetV2's block: expand, depthwise, project; added to what it read where the shapes allow."""

    def __init__(self, inputs: int, filters: int, stride: int, expand: int) -> None:
        wide = inputs * expand
        wider = _unit(inputs, wide, 1) if expand > 1 else []
        super().__init__()
        self.body = nn.Sequential(*wider, *_unit(wide, wide, 3, stride, wide), *_unit(wide, filters, 1)[:2])
        self.adds = stride == 1 and inputs == filters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.body(x)
        return x + y if self.adds else y


def _unit(inputs: int, filters: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, filters, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(filters), nn.ReLU6()]


def mobilenet_v2(seed: int = 0) -> nn.Module:
    """MobileNetV2 (Sandler et al., 2018, table 2) for 224 x 224 pixels, with random weights."""
    torch.manual_seed(seed)
    blocks: list[nn.Module] = _unit(3, 32, 3, 2)
    width = 32
    #: Expansion, filters, repetitions, stride.
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expand, filters, times, stride in rows:
        for i in range(times):
            blocks.append(_Inverted(width, filters, 1 if i else stride, expand))
            width = filters
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))
    net = nn.Sequential(*blocks, *_unit(width, 1280, 1), *head)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net.eval()


def thinned(net: IntegerNetwork, seed: int = 0) -> IntegerNetwork:
    """`net` with a quarter of its inner filters zero, and the others in two halves that read other halves of columns.

    Every pass of the compiler has work with it: filters to remove, filters to order.
    """
    rng = np.random.default_rng(seed)
    layers = []
    for layer in net.layers:
        count = len(layer.bias)
        dead = (rng.random(count) < 0.25) & (not layer.wide)
        half = rng.integers(0, 2, count)
        terms = []
        for term in layer.terms:
            kept = rng.random((2, *term.weight.shape[1:])) < 0.5
            weight = term.weight * kept[half] if term.groups == 1 else term.weight.copy()
            weight[dead] = 0
            terms.append(dataclasses.replace(term, weight=weight))
        layers.append(dataclasses.replace(layer, terms=tuple(terms), bias=np.where(dead, 0, layer.bias)))
    return dataclasses.replace(net, name=f"{net.name}-thinned", layers=tuple(layers))


def convolution(inputs: int, filters: int, size: int, seed: int = 0) -> IntegerNetwork:
    """A dense 3 x 3 convolution with padding on a `size` x `size` map, and a 1 x 1 output layer behind it."""
    rng = np.random.default_rng(seed)
    nodes = (
        Input(name="image", inputs=(), shape=(inputs, size, size)),
        Conv2d(
            name="conv",
            inputs=("image",),
            weight=rng.normal(0, 0.05, (filters, inputs, 3, 3)).astype(np.float32),
            bias=np.zeros(filters, np.float32),
            padding=(1, 1, 1, 1),
        ),
        Relu(name="relu", inputs=("conv",)),
        Conv2d(
            name="out",
            inputs=("relu",),
            weight=rng.normal(0, 0.1, (1, filters, 1, 1)).astype(np.float32),
            bias=np.zeros(1, np.float32),
        ),
    )
    images = rng.integers(0, 256, (4, inputs, size, size), dtype=np.uint8)
    return quantize_network(Graph(nodes, ("out",)), images, 1 / 255, name=f"conv-{inputs}-{filters}")


def fully_connected(inputs: int = 1024, outputs: int = 1024, seed: int = 0) -> IntegerNetwork:
    """One linear layer; 1024 x 1024 are a million weights."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, (2 / inputs) ** 0.5, (outputs, inputs)).astype(np.float32)
    nodes = (
        Input(name="image", inputs=(), shape=(inputs,)),
        Linear(name="fc", inputs=("image",), weight=weight, bias=np.zeros(outputs, np.float32)),
    )
    images = rng.integers(0, 256, (64, inputs), dtype=np.uint8)
    return quantize_network(Graph(nodes, ("fc",)), images, 1 / 255, name=f"linear-{inputs}-{outputs}")


def stored_network(folder: Path) -> IntegerNetwork:
    """The integer network in `folder`, or its float model quantised with the embedded data."""
    return as_network(folder, embedded(), None)


def _choose(rng: np.random.Generator, readable: NDArray[np.int64], count: int | None, group: int) -> NDArray[np.int64]:
    """`count` of the `readable` columns at random, at least one of each `group`."""
    if count is None or count >= len(readable):
        return readable
    first = np.array([rng.choice(part) for part in readable.reshape(-1, group)])
    if len(first) > count:
        first = first[:count]
    rest = rng.permutation(np.setdiff1d(readable, first))[: count - len(first)]
    return np.sort(np.concatenate([first, rest]))


def _quantised(graph: Graph, name: str) -> IntegerNetwork:
    data = embedded()
    return quantize_network(graph, data.x_train, data.input_scale, name=name)
