"""LeNet-5 as the paper must have had it before and after P-RM (reconstructed from its Table 1)."""

from __future__ import annotations

import numpy as np

from hwprm.graph import Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Relu


def lenet5(seed=0, dtype=np.float64):
    """Caffe's geometry: 430,500 weights, 25,500 of them in convolutions."""
    rng = np.random.default_rng(seed)

    def conv(name, source, m, c):
        weight, bias = rng.normal(0, 0.2, (m, c, 5, 5)), rng.normal(0, 0.3, m)
        return Conv2d(name=name, inputs=(source,), weight=weight.astype(dtype), bias=bias.astype(dtype))

    def linear(name, source, m, k):
        weight, bias = rng.normal(0, 0.05, (m, k)), rng.normal(0, 0.3, m)
        return Linear(name=name, inputs=(source,), weight=weight.astype(dtype), bias=bias.astype(dtype))

    def pool(name, source):
        return MaxPool2d(name=name, inputs=(source,), kernel=(2, 2), stride=(2, 2))

    nodes = (
        Input(name="image", inputs=(), shape=(1, 28, 28)),
        conv("conv1", "image", 20, 1),
        Relu(name="relu1", inputs=("conv1",)),
        pool("pool1", "relu1"),
        conv("conv2", "pool1", 50, 20),
        Relu(name="relu2", inputs=("conv2",)),
        pool("pool2", "relu2"),
        Flatten(name="flatten", inputs=("pool2",)),
        linear("fc1", "flatten", 500, 800),
        Relu(name="relu3", inputs=("fc1",)),
        linear("fc2", "relu3", 10, 500),
    )
    return Graph(nodes, ("fc2",))


#: (filters x columns) left of conv2 by ADMM, conv-only ratios before and after P-RM as the paper prints them.
TABLE_1 = [((12, 50), "23.18", "39.23"), ((8, 30), "34.46", "87.93"), ((3, 20), "45.54", "231.82")]


def after_admm(filters, columns, dtype=np.float64):
    """conv1 dense, conv2 with `filters` x `columns` weights that lie in 2 of its 20 input channels."""
    graph = lenet5(dtype=dtype)
    weight = graph.by_name["conv2"].weight
    mask = np.zeros((50, 20 * 25), dtype=bool)
    place = np.r_[3 * 25 : 3 * 25 + (columns + 1) // 2, 11 * 25 : 11 * 25 + columns // 2]
    mask[np.ix_(np.arange(filters) * 4 + 1, place)] = True
    weight[~mask.reshape(weight.shape)] = 0
    return graph
