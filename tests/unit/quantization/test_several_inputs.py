"""Networks with several inputs: a scale for each, order, and the integers of both references."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.core.errors import DataError, ModelError
from hwprm.graph import Add, Concat, Conv2d, Flatten, Graph, Input, Linear, Relu, evaluate, join_inputs
from hwprm.intnet import IntegerNetwork, reference, split_images
from hwprm.quantization import crosscheck, quantize_images, quantize_network, signal_to_noise
from hwprm.quantization.calibrate import float_tensors
from hwprm.quantization.lowering.lower import lower
from tests.support.bench import run_checked
from tests.support.networks import compiled


def graph(unread: bool = False) -> Graph:
    """Two maps meet in a sum and, with a vector, in a concatenation; `unread` adds an input that nobody reads."""
    rng = np.random.default_rng(0)

    def conv(name: str, source: str, channels: int) -> Conv2d:
        weight = rng.normal(size=(3, channels, 3, 3))
        return Conv2d(name=name, inputs=(source,), weight=weight, bias=rng.normal(size=3), padding=(1, 1, 1, 1))

    inputs = [Input(name=n, inputs=(), shape=s) for n, s in (("a", (2, 5, 4)), ("b", (1, 5, 4)), ("c", (4,)))]
    return Graph(
        (
            inputs[0],
            *([Input(name="unread", inputs=(), shape=(1, 2, 2))] if unread else []),
            *inputs[1:],
            conv("first", "a", 2),
            conv("second", "b", 1),
            Add(name="sum", inputs=("first", "second")),
            Relu(name="relu", inputs=("sum",)),
            Conv2d(name="all", inputs=("relu",), weight=rng.normal(size=(2, 3, 5, 4)), bias=rng.normal(size=2)),
            Flatten(name="flat", inputs=("all",)),
            Linear(name="fc", inputs=("c",), weight=rng.normal(size=(5, 4)), bias=rng.normal(size=5)),
            Concat(name="cat", inputs=("fc", "flat")),
            Linear(name="out", inputs=("cat",), weight=rng.normal(size=(3, 7)), bias=rng.normal(size=3)),
        ),
        ("out",),
    )


def images(count: int = 6) -> dict[str, np.ndarray]:
    """Parts of very different ranges, one of them bytes."""
    rng = np.random.default_rng(1)
    return {
        "a": rng.integers(0, 256, (count, 2, 5, 4), dtype=np.uint8),
        "b": rng.normal(size=(count, 1, 5, 4)) * 30,
        "c": rng.normal(size=(count, 4)) / 100,
    }


SCALE = {"a": 1 / 255, "b": 1.0, "c": 1.0}


def test_every_input_has_its_own_scale_and_its_place() -> None:
    x = images()
    net = quantize_network(graph(), x, SCALE)
    assert net.input_shapes == {"a": (2, 5, 4), "b": (1, 5, 4), "c": (4, 1, 1)}
    assert {name: net.tensor[name].signed for name in net.inputs} == {"a": False, "b": True, "c": True}
    for name in net.inputs:
        assert net.tensor[name].scale == np.abs(x[name] * SCALE[name]).max() / net.tensor[name].limits[1]
    packed = quantize_images(x, SCALE, net)
    parts = split_images(packed, net.input_shapes)
    assert packed.shape == (6, 64)
    for name, part in parts.items():
        assert np.abs(part).max() == net.tensor[name].limits[1]
        real = x[name].reshape(part.shape) * SCALE[name]
        assert np.abs(part * net.tensor[name].scale - real).max() <= net.tensor[name].scale * 0.501
    assert crosscheck(net, packed, reference.run(net, packed)) > 0


def test_structured_arrays_are_the_same_images() -> None:
    x = images()
    joined = join_inputs(x)
    assert _same(quantize_network(graph(), x, SCALE), quantize_network(graph(), joined, SCALE))
    net = quantize_network(graph(), x, SCALE)
    np.testing.assert_array_equal(quantize_images(x, SCALE, net), quantize_images(joined, SCALE, net))


def _same(a: IntegerNetwork, b: IntegerNetwork) -> bool:
    weights = [
        (t.weight == u.weight).all()
        for la, lb in zip(a.layers, b.layers, strict=True)
        for t, u in zip(la.terms, lb.terms, strict=True)
    ]
    return a.tensors == b.tensors and all(weights)


def test_sixteen_bits_are_close_to_the_floats() -> None:
    from hwprm.config import QuantizeConfig

    x = images()
    net = quantize_network(graph(), x, SCALE, QuantizeConfig(weight_bits=16, act_bits=16))
    assert min(signal_to_noise(graph(), net, x, SCALE).values()) > 55
    wanted = evaluate(graph(), {name: array * SCALE[name] for name, array in x.items()})["out"]
    got = reference.run(net, quantize_images(x, SCALE, net))["out"] * net.tensor["out"].scale
    np.testing.assert_allclose(got[:, :, 0, 0], wanted, atol=2e-3 * np.abs(wanted).max())


def test_an_input_that_nobody_reads_keeps_its_place() -> None:
    x = images() | {"unread": np.ones((6, 1, 2, 2))}
    scale = SCALE | {"unread": 1.0}
    net = quantize_network(graph(unread=True), x, scale)
    assert net.inputs == ("a", "unread", "b", "c")
    without = quantize_network(graph(), images(), SCALE)
    np.testing.assert_array_equal(
        reference.run(net, quantize_images(x, scale, net))["out"],
        reference.run(without, quantize_images(images(), SCALE, without))["out"],
    )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"b": np.zeros((6, 1, 5, 4))}, ModelError, "calibration images of input 'b' are all zero, so no scale can be"),
        (
            {"b": np.zeros((6, 1, 4, 5))},
            DataError,
            r"images have shape \(6, 1, 4, 5\), the network reads \(n, 1, 5, 4\)",
        ),
        ({"b": np.ones((5, 1, 5, 4))}, DataError, "the inputs have different numbers of images"),
        ({"d": np.ones((6, 1))}, DataError, "the images are for the inputs a, b, c, d, the network's are a, b, c;"),
    ],
    ids=["zero", "shape", "count", "unknown"],
)
def test_images_that_do_not_fit(change: dict[str, np.ndarray], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        quantize_network(graph(), images() | change, 1.0)


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_a_linear_layer_reads_flattened_maps_and_vectors_side_by_side(nested: bool) -> None:
    """Terms with kernels of the size of the maps; the columns are those of torch's concatenation."""
    rng = np.random.default_rng(2)
    cats = (
        (Concat(name="cat", inputs=("fa", "c", "fb", "fa")),)
        if not nested
        else (Concat(name="inner", inputs=("fa", "c")), Concat(name="cat", inputs=("inner", "fb", "fa")))
    )
    joined = Graph(
        (
            *graph().inputs,
            Relu(name="relu", inputs=("a",)),
            Flatten(name="fa", inputs=("relu",)),
            Flatten(name="fb", inputs=("b",)),
            *cats,
            Linear(name="out", inputs=("cat",), weight=rng.normal(size=(3, 104)), bias=rng.normal(size=3)),
        ),
        ("out",),
    )
    fused = lower(joined)
    assert [term.source for term in fused.layers[-1].terms] == ["relu", "c", "b", "relu"]
    assert [term.weight.shape for term in fused.layers[-1].terms[:3]] == [(3, 2, 5, 4), (3, 4, 1, 1), (3, 1, 5, 4)]
    x = {name: array.astype(np.float64) for name, array in images().items()}
    real = {name: array.reshape(6, *fused.shapes[name]) for name, array in x.items()}
    got, wanted = float_tensors(fused, real)["out"][:, :, 0, 0], evaluate(joined, x)["out"]
    np.testing.assert_allclose(got, wanted, atol=1e-12 * np.abs(wanted).max())
    net = quantize_network(joined, x, 1.0)
    packed = quantize_images(x, 1.0, net)
    assert crosscheck(net, packed, reference.run(net, packed)) > 0
    run_checked(compiled(net, 3, 2), packed[:2])


def test_one_array_is_refused() -> None:
    with pytest.raises(DataError, match=r"the images are one array, the network has 3 inputs \(a, b, c\)"):
        quantize_network(graph(), images()["a"], 1.0)
