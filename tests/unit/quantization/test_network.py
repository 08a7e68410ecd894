"""Scales, special filters, outputs, images, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from hwprm.config.quantize import QuantizeConfig
from hwprm.core.errors import ConfigError, DataError, InputError, MismatchError, ModelError
from hwprm.core.numerics import choose_multiplier, signed_width
from hwprm.graph import Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Relu
from hwprm.intnet import IntegerNetwork, reference
from hwprm.quantization import (
    crosscheck,
    integer_accuracy,
    quantize_images,
    quantize_network,
    run_torch,
    signal_to_noise,
)


def conv_graph(weight: np.ndarray, bias: np.ndarray, *, last: bool = False) -> Graph:
    """conv, ReLU, then a fixed linear layer unless `last`; image (1, 4, 4)."""
    m = len(weight)
    nodes = [
        Input(name="x", inputs=(), shape=(1, 4, 4)),
        Conv2d(name="c", inputs=("x",), weight=weight, bias=bias),
        Relu(name="r", inputs=("c",)),
        Flatten(name="f", inputs=("r",)),
        Linear(name="l", inputs=("f",), weight=np.ones((2, m * 4)) / 7, bias=np.zeros(2)),
    ]
    return Graph(tuple(nodes[: 3 if last else 5]), ("r" if last else "l",))


def images(n: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (n, 1, 4, 4))


def weights(m: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(m, 1, 3, 3))


def test_scales_follow_the_specification() -> None:
    w, b = weights(), np.array([0.5, -0.25, 0.125])
    net = quantize_network(conv_graph(w, b), images(), 1.0)
    layer = net.layers[0]
    steps = np.abs(w).reshape(3, -1).max(axis=1) / 127
    x_scale = images().max() / 255
    assert net.input.scale == x_scale
    np.testing.assert_array_equal(layer.terms[0].weight, np.floor(w / steps[:, None, None, None] + 0.5))
    np.testing.assert_array_equal(np.abs(layer.terms[0].weight).reshape(3, -1).max(axis=1), 127)
    np.testing.assert_array_equal(layer.bias, np.floor(b / (x_scale * steps) + 0.5))
    out = net.tensor["c"].scale
    pairs = [choose_multiplier(x_scale * step / out) for step in steps]
    assert list(zip(layer.mult.tolist(), layer.shift.tolist(), strict=True)) == pairs
    assert (layer.clamp, net.layers[1].clamp) == ((0, 255), (-(2**31), 2**31 - 1))
    assert reference.run(net, quantize_images(images(), 1.0, net))["c"].max() in (254, 255)


@pytest.mark.parametrize("bits", [2, 3, 8, 16])
def test_weights_are_symmetric_at_every_width(bits: int) -> None:
    config = QuantizeConfig(weight_bits=bits, act_bits=bits)
    net = quantize_network(conv_graph(-np.abs(weights()), np.zeros(3)), images(), 1.0, config)
    assert net.layers[0].terms[0].weight.min() == -((1 << (bits - 1)) - 1)


def test_a_filter_of_zeros_is_a_constant_and_changes_nobody_else() -> None:
    w, b = weights(), np.array([0.5, 0.25, 0.125])
    w[1] = 0
    graph = conv_graph(w, b)
    # A reader that pads cannot take the constant into its bias.
    padded = Conv2d(name="d", inputs=("r",), weight=np.ones((2, 3, 3, 3)), bias=np.zeros(2), padding=(1, 1, 1, 1))
    net = quantize_network(Graph((*graph.nodes[:3], padded), ("d",)), images(), 1.0)
    x = quantize_images(images(), 1.0, net)
    constant = reference.run(net, x)["c"][:, 1] * net.tensor["c"].scale
    np.testing.assert_allclose(constant, 0.25, atol=net.tensor["c"].scale)
    steps = np.abs(w).reshape(3, -1).max(axis=1) / 127
    others = [0, 2]
    expected = np.floor(b[others] / (net.input.scale * steps[others]) + 0.5)
    np.testing.assert_array_equal(net.layers[0].bias[others], expected)


def test_a_layer_of_zeros_still_quantises() -> None:
    net = quantize_network(conv_graph(np.zeros((2, 1, 3, 3)), np.zeros(2)), images(), 1.0)
    assert not reference.run(net, quantize_images(images(), 1.0, net))["l"].any()


@pytest.mark.parametrize("size", [1e-3, 1e-9, 1e-30, 1e-200, 5e-324])
def test_a_vanishing_filter_does_not_widen_the_accumulator(size: float) -> None:
    w = weights()
    w[1] *= size
    net = quantize_network(conv_graph(w, np.array([0.5, 0.25, 0.1])), images(), 1.0)
    assert signed_width(*net.accumulator_limits(net.layers[0])) <= 23
    ratios = signal_to_noise(conv_graph(w, np.array([0.5, 0.25, 0.1])), net, images(), 1.0)
    assert ratios["c"] > 30


def test_outputs_share_one_scale_and_the_largest_step_has_factor_one() -> None:
    w = weights() * np.array([1, 10, 100]).reshape(3, 1, 1, 1)
    net = quantize_network(conv_graph(w, np.zeros(3), last=True), images(), 1.0)
    layer = net.layers[0]
    assert (layer.mult[2], layer.shift[2]) == (1 << 15, 15)
    assert layer.clamp == (0, 2**31 - 1)
    assert np.all(layer.mult <= 2.0**layer.shift)


def test_outputs_whose_worst_case_needs_more_than_32_bits_are_scaled_down() -> None:
    config = QuantizeConfig(weight_bits=16, act_bits=16)
    graph = Graph(
        (
            Input(name="x", inputs=(), shape=(64,)),
            Linear(name="l", inputs=("x",), weight=np.ones((2, 64)), bias=np.zeros(2)),
        ),
        ("l",),
    )
    net = quantize_network(graph, np.ones((1, 64)), 1.0, config)
    worst = np.full((2, 64, 1, 1), 1) * np.array([0, 65535]).reshape(2, 1, 1, 1)
    low, high = (int(reference.run(net, worst)["l"][i, 0, 0, 0]) for i in range(2))
    assert low == 0 and 2**31 - 2**18 < high < 2**31 - 1


def test_identity_layers_are_exact() -> None:
    pool = MaxPool2d(name="p", inputs=("x",), kernel=(2, 2), stride=(2, 2))
    graph = Graph((Input(name="x", inputs=(), shape=(3, 4, 4)), pool), ("p",))
    for bits in (2, 8, 16):
        x = np.random.default_rng(0).normal(size=(4, 3, 4, 4))
        net = quantize_network(graph, x, 1.0, QuantizeConfig(weight_bits=bits, act_bits=bits))
        integers = quantize_images(x, 1.0, net)
        expected = integers.reshape(4, 3, 2, 2, 2, 2).max(axis=(3, 5))
        np.testing.assert_array_equal(reference.run(net, integers)["p"], expected)
        assert net.tensor["p"].scale == net.input.scale


def test_percentile_counts_values_that_are_not_zero() -> None:
    x = np.zeros((1, 1, 10, 10))
    x[0, 0, :5] = np.arange(1, 51).reshape(5, 10)
    conv = Conv2d(name="c", inputs=("x",), weight=np.ones((1, 1, 1, 1)), bias=np.zeros(1))
    graph = Graph((Input(name="x", inputs=(), shape=(1, 10, 10)), conv), ("c",))
    for percentile, expected in ((100, 50), (98, 49), (50, 25), (99, 50)):
        net = quantize_network(graph, x, 1.0, QuantizeConfig(percentile=percentile))
        assert net.input.scale * 255 == pytest.approx(expected)


def test_percentile_does_not_depend_on_the_batches() -> None:
    x = np.random.default_rng(0).normal(size=(250, 1, 4, 4))
    net = quantize_network(conv_graph(weights(), np.zeros(3)), x, 1.0, QuantizeConfig(percentile=90.0))
    assert net.input.scale * 127 == pytest.approx(np.sort(np.abs(x), axis=None)[int(np.ceil(x.size * 0.9)) - 1])


def test_bytes_and_floats_of_the_same_images_agree() -> None:
    raw = np.random.default_rng(0).integers(0, 256, (8, 1, 4, 4)).astype(np.uint8)
    graph = conv_graph(weights(), np.zeros(3))
    a, b = quantize_network(graph, raw, 1 / 255), quantize_network(graph, raw * (1 / 255), 1.0)
    assert a.input.scale == b.input.scale
    np.testing.assert_array_equal(quantize_images(raw, 1 / 255, a), quantize_images(raw * (1 / 255), 1.0, b))
    assert quantize_images(raw, 1 / 255, a).min() >= 0


def test_images_beyond_the_calibrated_range_saturate() -> None:
    for shift, ends in ((0, (0, 255)), (0.5, (-128, 127))):  # of data that never are negative, and that are
        net = quantize_network(conv_graph(weights(), np.zeros(3)), images() - shift, 1.0)
        beyond = quantize_images(images() * 1000 - 500, 1.0, net)
        assert (beyond.min(), beyond.max()) == ends


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((0, 1, 4, 4)), DataError, "the set of images is empty; give at least one"),
        (np.zeros((2, 1, 4, 5)), DataError, r"images have shape \(2, 1, 4, 5\), the network reads \(n, 1, 4, 4\)"),
        (np.zeros((2, 16)), DataError, r"images have shape \(2, 16\)"),
        (np.full((1, 1, 4, 4), np.nan), DataError, "the images hold NaN or infinity"),
        (np.zeros((2, 1, 4, 4)), ModelError, "the calibration images are all zero"),
    ],
)
def test_unusable_calibration_images(x: np.ndarray, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        quantize_network(conv_graph(weights(), np.zeros(3)), x, 1.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight_bits": 1}, r"quantize.weight_bits must be a whole number in 2\.\.16, not 1"),
        ({"act_bits": 17}, r"quantize.act_bits must be a whole number in 2\.\.16, not 17"),
        ({"act_bits": "8"}, r"quantize.act_bits must be a whole number in 2\.\.16, not '8'"),
        ({"images": 0}, r"quantize.images must be a whole number in 1\.\.1000000, not 0"),
        ({"percentile": 101}, r"quantize.percentile must be a number in 50\.\.100, not 101"),
        ({"percentile": float("nan")}, r"quantize.percentile must be a number in 50\.\.100, not nan"),
    ],
)
def test_options_out_of_range(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        QuantizeConfig(**fields)


def test_an_accumulator_of_more_than_46_bits_is_refused() -> None:
    k = 1 << 16
    layer = Linear(name="l", inputs=("x",), weight=np.ones((1, k)), bias=np.zeros(1))
    graph = Graph((Input(name="x", inputs=(), shape=(k,)), layer), ("l",))
    with pytest.raises(ModelError, match="layer 'l' needs a 48-bit accumulator, 46 is the most; use fewer"):
        quantize_network(graph, np.ones((1, k)), 1.0, QuantizeConfig(weight_bits=16, act_bits=16))


def small() -> tuple[IntegerNetwork, np.ndarray]:
    net = quantize_network(conv_graph(weights(), np.array([0.5, 0.25, 0.1])), images(), 1.0)
    return net, quantize_images(images(), 1.0, net)


def test_accuracy_is_the_share_of_first_largest_outputs() -> None:
    net, x = small()
    out = run_torch(net, x)["l"].reshape(len(x), -1)
    assert (out[:, 0] == out[:, 1]).all()  # both rows are equal: the first must win
    assert integer_accuracy(net, x, np.zeros(len(x), np.int64)) == 100.0
    assert integer_accuracy(net, x, np.ones(len(x), np.int64)) == 0.0
    assert integer_accuracy(net, x, np.arange(len(x)) % 4) == 25.0


def test_accuracy_needs_labels_and_one_output() -> None:
    net, x = small()
    with pytest.raises(InputError, match="as many labels as images and at least one, not 3/8"):
        integer_accuracy(net, x, np.zeros(3, np.int64))
    heads = (net.layers[1], replace(net.layers[1], name="m"))
    tensors = (*net.tensors, replace(net.tensor["l"], name="m"))
    two = replace(net, layers=(net.layers[0], *heads), tensors=tensors, outputs=("l", "m"))
    with pytest.raises(InputError, match="accuracy needs one output, the network has 2"):
        integer_accuracy(two, x, np.zeros(8, np.int64))


def test_images_of_another_shape_are_refused() -> None:
    net, x = small()
    with pytest.raises(InputError, match=r"images have shape \(8, 1, 4, 3\)"):
        run_torch(net, x[..., :3])


def test_crosscheck_names_the_first_difference() -> None:
    net, x = small()
    expected = reference.run(net, x)
    assert crosscheck(net, x, expected) == 8 * (16 + 12 + 2)
    with pytest.raises(MismatchError, match=r"numpy makes the tensors \['x'\], torch \['c', 'l', 'x'\]"):
        crosscheck(net, x, {"x": x})
    with pytest.raises(MismatchError, match=r"layer 'c': numpy makes \(7, 3, 2, 2\), torch \(8, 3, 2, 2\)"):
        crosscheck(net, x, expected | {"c": expected["c"][:7]})

    planted = expected["c"].copy()
    planted[3, 2, 1, 0] += 1
    value = expected["c"][3, 2, 1, 0]
    text = rf"layer 'c', image 3, channel 2, row 1, column 0: expected {value + 1} \(numpy\), got {value} \(torch\); 1 "
    with pytest.raises(MismatchError, match=text):
        crosscheck(net, x, expected | {"c": planted})


def test_crosscheck_computes_what_it_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = small()
    assert crosscheck(net, x) == crosscheck(net, x, reference.run(net, x))

    def off_by_one(net: IntegerNetwork, images: np.ndarray) -> dict[str, np.ndarray]:
        tensors = run_torch(net, images)
        if np.array_equal(images[0], x[5]):
            tensors["l"] = tensors["l"] - 1
        return tensors

    monkeypatch.setattr("hwprm.quantization.compare.run_torch", off_by_one)
    with pytest.raises(MismatchError, match=r"^layer 'l', image 5, channel 0, row 0, column 0: "):
        crosscheck(net, x)


def test_more_bits_are_closer_to_the_floats() -> None:
    graph = conv_graph(weights(), np.array([0.5, 0.25, 0.1]))
    ratios = []
    for bits in (4, 8, 12, 16):
        net = quantize_network(graph, images(), 1.0, QuantizeConfig(weight_bits=bits, act_bits=bits))
        ratios.append(signal_to_noise(graph, net, images(), 1.0)["l"])
    assert ratios == sorted(ratios) and ratios[1] > 30 and ratios[3] > 70
