"""LeNet-5 in Caffe's geometry, the one the ADMM and P-RM papers prune: 430,500 weights and 580 biases."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from hwprm.graph import Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Relu

__all__ = ["lenet5", "lenet5_graph"]


def lenet5(seed: int = 0) -> nn.Sequential:
    """conv1 1->20 5x5, relu, pool 2, conv2 20->50 5x5, relu, pool 2, fc1 800->500, relu, fc2 500->10.

    Reads ``(n, 1, 28, 28)`` float32 in 0..1, makes ``(n, 10)`` logits. The weights are drawn from `seed` (Kaiming
    normal, zero biases); the global random state of torch is left alone.
    """
    # Layers draw default weights when made; those must not move the caller's random state.
    with torch.random.fork_rng(devices=[]):
        net = nn.Sequential(
            OrderedDict[str, nn.Module](
                conv1=nn.Conv2d(1, 20, 5),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(20, 50, 5),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                fc1=nn.Linear(800, 500),
                relu3=nn.ReLU(),
                fc2=nn.Linear(500, 10),
            )
        )
    generator = torch.Generator().manual_seed(seed)
    for module in net:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return net


def lenet5_graph(seed: int = 0) -> Graph:
    """`lenet5(seed)` as a `Graph`; its weighted layers are conv1, conv2, fc1, fc2."""
    w = {key: value.detach().numpy() for key, value in lenet5(seed).state_dict().items()}
    return Graph(
        (
            Input(name="image", inputs=(), shape=(1, 28, 28)),
            Conv2d(name="conv1", inputs=("image",), weight=w["conv1.weight"], bias=w["conv1.bias"]),
            Relu(name="relu1", inputs=("conv1",)),
            MaxPool2d(name="pool1", inputs=("relu1",), kernel=(2, 2), stride=(2, 2)),
            Conv2d(name="conv2", inputs=("pool1",), weight=w["conv2.weight"], bias=w["conv2.bias"]),
            Relu(name="relu2", inputs=("conv2",)),
            MaxPool2d(name="pool2", inputs=("relu2",), kernel=(2, 2), stride=(2, 2)),
            Flatten(name="flatten", inputs=("pool2",)),
            Linear(name="fc1", inputs=("flatten",), weight=w["fc1.weight"], bias=w["fc1.bias"]),
            Relu(name="relu3", inputs=("fc1",)),
            Linear(name="fc2", inputs=("relu3",), weight=w["fc2.weight"], bias=w["fc2.bias"]),
        ),
        ("fc2",),
    )
