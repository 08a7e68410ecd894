"""A net whose hidden channels are useful, doubled, constant, noisy or unread by construction, and data for it."""

from __future__ import annotations

import numpy as np

from hwprm.data import Dataset
from hwprm.graph import Conv2d, Flatten, Graph, Input, Linear, Relu
from hwprm.model import Model, Stage

#: Channels of `known_graph`: one bright column each, of which 2 and 3 are the halves of one; constant; noise; unread.
USEFUL, HALVES, CONSTANT, NOISE, UNREAD = (0, 1), (2, 3), 4, 5, 6


def bright_columns(count: int = 240, seed: int = 0) -> Dataset:
    """Images ``(1, 4, 4)`` of three classes: column 0, 1 or 2 is bright, column 3 is noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    x = rng.integers(0, 40, (count, 1, 4, 4))
    x[np.arange(count), :, :, y] += 180
    x[..., 3] = rng.integers(0, 256, (count, 1, 4))
    x = x.astype(np.uint8)
    half = count // 2
    return Dataset(
        name="columns", source="made", x_train=x[:half], y_train=y[:half], x_test=x[half:], y_test=y[half:], classes=3
    )


def known_graph() -> Graph:
    """A 4 x 4 convolution to one pixel, ReLU, linear: 7 hidden channels as the names above say."""
    weight = np.zeros((7, 1, 4, 4), np.float32)
    for channel, column in ((0, 0), (1, 1), (2, 2), (3, 2), (NOISE, 3), (UNREAD, 0)):
        weight[channel, 0, :, column] = 0.25
    bias = np.zeros(7, np.float32)
    bias[CONSTANT] = 0.7
    out = np.zeros((3, 7), np.float32)
    out[0, 0] = out[1, 1] = 6.0
    out[2, list(HALVES)] = 3.0
    out[:, CONSTANT] = 2.0, -1.0, 0.5
    out[0, NOISE], out[1, NOISE] = 8.0, -8.0  # so that its variance alone would keep it
    return Graph(
        (
            Input(name="image", inputs=(), shape=(1, 4, 4)),
            Conv2d(name="conv", inputs=("image",), weight=weight, bias=bias),
            Relu(name="relu", inputs=("conv",)),
            Flatten(name="flat", inputs=("relu",)),
            Linear(name="fc", inputs=("flat",), weight=out, bias=np.zeros(3, np.float32)),
        ),
        ("fc",),
    )


def known_model() -> Model:
    """`known_graph`, dense."""
    return Model(graph=known_graph(), stage=Stage.DENSE)
