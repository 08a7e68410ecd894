"""Training, ADMM, P-RM and compaction of a network with two inputs, through a data set with a field for each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hwprm
from hwprm.config import AdmmConfig, PruneOptions, TrainConfig
from hwprm.core.errors import ConfigError, DataError
from hwprm.data import Dataset
from hwprm.graph import Concat, Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Relu, join_inputs
from hwprm.quantization import integer_accuracy, quantize_images
from hwprm.training import Context, accuracy, train
from tests.unit.training.synthetic import bits, blobs

FAST = TrainConfig(epochs=4, batch=30, lr=5e-3)


def pairs() -> Dataset:
    """`blobs` with a fourth class that only the second input tells from the third."""
    rng = np.random.default_rng(2)
    ds = blobs()

    def both(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = np.where((y == 2) & (rng.random(len(y)) < 0.5), 3, y)
        facts = rng.normal(size=(len(y), 4)) * 0.2 + 2.0 * (moved == 3)[:, None]
        return join_inputs({"image": x, "facts": facts.astype(np.float32)}), moved

    train, test = both(ds.x_train, ds.y_train), both(ds.x_test, ds.y_test)
    return replace(ds, x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1], classes=4)


def graph() -> Graph:
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)

    def zeros(n: int) -> np.ndarray:
        return np.zeros(n, np.float32)

    return Graph(
        (
            Input(name="image", inputs=(), shape=(1, 8, 8)),
            Input(name="facts", inputs=(), shape=(4,)),
            Conv2d(name="conv", inputs=("image",), weight=draw(6, 1, 3, 3), bias=zeros(6)),
            Relu(name="relu", inputs=("conv",)),
            MaxPool2d(name="pool", inputs=("relu",), kernel=(2, 2), stride=(2, 2)),
            Flatten(name="flat", inputs=("pool",)),
            Linear(name="fc1", inputs=("flat",), weight=draw(10, 54), bias=zeros(10)),
            Linear(name="fc2", inputs=("facts",), weight=draw(5, 4), bias=zeros(5)),
            Concat(name="cat", inputs=("fc1", "fc2")),
            Relu(name="relu2", inputs=("cat",)),
            Linear(name="out", inputs=("relu2",), weight=draw(4, 15), bias=zeros(4)),
        ),
        ("out",),
    )


def test_train_prune_and_quantise() -> None:
    data = pairs()
    model = hwprm.train(graph(), data, replace(FAST, epochs=15))
    assert model.meta["accuracy"]["dense"] >= 95, "it must look at both inputs"
    assert model.meta["input_scale"] == {"image": 1 / 255, "facts": 1.0}
    small = hwprm.prune(model, data, PruneOptions(admm=AdmmConfig(compression=2), train=FAST))
    assert [node.name for node in small.graph.inputs] == ["image", "facts"]
    weights = [sum(int(np.count_nonzero(x.weight)) for x in m.graph.weighted) for m in (model, small)]
    assert weights[1] <= weights[0] / 2
    assert small.meta["accuracy"]["compact"] >= 85
    net = hwprm.quantize(small, data)
    integer = integer_accuracy(net, quantize_images(data.x_test, data.input_scale, net), data.y_test)
    assert abs(integer - small.meta["accuracy"]["compact"]) <= 5


def test_same_seed_same_bits() -> None:
    config = replace(FAST, epochs=1)
    first = train(graph(), pairs(), Context(config=config)).graph
    assert bits(train(graph(), pairs(), Context(config=config)).graph) == bits(first)
    swapped = pairs()
    order = ["facts", "image"]  # the order of the fields means nothing
    swapped = replace(swapped, x_train=swapped.x_train[order], x_test=swapped.x_test[order])
    assert bits(train(graph(), swapped, Context(config=config)).graph) == bits(first)


def test_refusals() -> None:
    data = pairs()
    with pytest.raises(
        ConfigError, match=r"^train\.augment = 'shift' moves one image, the network has 2 inputs; set it to"
    ):
        train(graph(), data, Context(config=replace(FAST, augment="shift")))
    with pytest.raises(
        DataError, match=r"^the network reads {'image': \(1, 8, 8\), 'facts': \(4,\)}, the images are \(1, 8"
    ):
        train(graph(), blobs(), Context(config=FAST))
    with pytest.raises(
        DataError, match=r"^the network reads .*, the images are \(1, 8, 8\); choose a fitting data set"
    ):
        accuracy(graph(), blobs().x_test, blobs().y_test, 1.0)
    none = np.zeros(0, np.int64)
    with pytest.raises(DataError, match="^the data set blobs has no labels to train with"):
        train(graph(), replace(data, y_train=none, y_test=none, classes=0), Context(config=FAST))
