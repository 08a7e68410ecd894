"""Quantised models keep their weights, biases and scales: QDQ, QONNX, PT2E."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from hwprm.config import QuantizeConfig
from hwprm.core.errors import ConfigError
from hwprm.frontend import check, load, to_graph
from hwprm.graph import Graph, Rounded, evaluate
from hwprm.intnet import IntegerNetwork, reference
from hwprm.quantization import crosscheck, quantize_images, quantize_network
from tests.support.onnx_models import inferred, made, node

SHAPE = (3, 2, 6, 6)
RNG = np.random.default_rng(6)
WEIGHT, MATRIX = RNG.integers(-128, 128, (4, 2, 3, 3)).astype(np.int8), RNG.integers(-90, 100, (5, 16)).astype(np.int8)
WEIGHT[0, 0, 0, 0] = -128
BIAS = RNG.integers(-4000, 4000, 4).astype(np.int32)
STEPS = (RNG.random(4) / 100 + 0.01).astype(np.float32)
S_X, S_Y, S_M = np.float32(0.021), np.float32(0.037), np.float32(0.013)
NUMBERS: dict[str, Any] = {
    **{"w": WEIGHT, "sw": STEPS, "b": BIAS, "sb": STEPS * S_X, "m": MATRIX, "sm": S_M, "sx": S_X, "sy": S_Y},
    **{"zx": np.int8(0), "zw": np.zeros(4, np.int8), "zb": np.zeros(4, np.int32), "zy": np.uint8(0)},
}


def both(tensor: str, made_of: str, scale: str, zero: str) -> list[onnx.NodeProto]:
    """Quantised and taken back: the tensor called `tensor`."""
    return [
        node("QuantizeLinear", f"{made_of} {scale} {zero}", f"{tensor}_q"),
        node("DequantizeLinear", f"{tensor}_q {scale} {zero}", tensor),
    ]


NODES = [
    *both("image", "x", "sx", "zx"),
    node("DequantizeLinear", "w sw zw", "weight", axis=0),
    node("DequantizeLinear", "b sb zb", "bias", axis=0),
    node("Conv", "image weight bias", "conv"),
    node("Relu", "conv"),
    *both("relus", "relu", "sy", "zy"),
    node("MaxPool", "relus", kernel_shape=[2, 2], strides=[2, 2]),
    *both("pooled", "maxpool", "sy", "zy"),
    node("Flatten", "pooled"),
    node("DequantizeLinear", "m sm zx", "matrix"),
    node("Gemm", "flatten matrix", transB=1),
]


def images(count: int = 16) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(2).normal(size=(count, *SHAPE[1:])).astype(np.float32)


def close(file: Path, graph: Graph, net: IntegerNetwork) -> None:
    """The graph is the model; so are the integers, but for their last steps."""
    x = images()
    (wanted,) = inferred(file, x, plain=True)
    floats = evaluate(graph, x.astype(np.float64))[graph.outputs[0]]
    np.testing.assert_allclose(floats.reshape(wanted.shape), wanted, atol=1e-5 * np.abs(wanted).max())
    stored = quantize_images(x, 1.0, net)
    found = reference.run(net, stored)
    assert crosscheck(net, stored, found) > 0
    real = (found[net.outputs[0]] * net.tensor[net.outputs[0]].scale).reshape(wanted.shape)
    np.testing.assert_allclose(real, wanted, atol=0.02 * np.abs(wanted).max())
    assert (real.argmax(1) == wanted.argmax(1)).mean() > 0.9


def test_weights_biases_and_steps_are_those_of_the_model(tmp_path: Path) -> None:
    file = made(tmp_path / "m.onnx", NODES, ("n", *SHAPE[1:]), NUMBERS)
    graph = to_graph(load(file))
    net = quantize_network(graph, images(), 1.0)
    assert [layer.name for layer in net.layers] == ["conv", "gemm"], "roundings are no layers"
    conv, gemm = net.layers
    np.testing.assert_array_equal(conv.terms[0].weight, WEIGHT)
    np.testing.assert_array_equal(conv.bias, BIAS)
    np.testing.assert_array_equal(gemm.terms[0].weight.reshape(MATRIX.shape), MATRIX)
    assert conv.clamp == (0, 255) and not net.tensor["conv"].signed and net.input.signed
    np.testing.assert_allclose([net.input.scale, net.tensor["conv"].scale], [S_X, S_Y], rtol=1e-7)
    close(file, graph, net)
    graph.save(tmp_path / "kept")
    assert [n.step for n in Graph.load(tmp_path / "kept").nodes if isinstance(n, Rounded)] == [S_X, S_Y, S_Y]


def test_zero_points_take_more_bits_or_are_one_error(tmp_path: Path) -> None:
    file = made(tmp_path / "m.onnx", NODES, ("n", *SHAPE[1:]), NUMBERS | {"zx": np.int8(-17), "zw": NUMBERS["zw"]})
    graph = to_graph(load(file))
    with pytest.raises(ConfigError, match=r"do not fit 8 bits .*: image_q \(-111 .. 144\); keep .* = 9, or quantise"):
        quantize_network(graph, images(), 1.0)
    net = quantize_network(graph, images(), 1.0, QuantizeConfig(act_bits=9))
    cut, conv, _ = net.layers
    assert net.input.scale == net.tensor["image_q"].scale == S_X and cut.clamp == (-111, 144)
    assert conv.clamp == (0, 255)
    np.testing.assert_array_equal(conv.terms[0].weight, WEIGHT)
    close(file, graph, net)


def test_a_sum_and_a_table_keep_their_steps(tmp_path: Path) -> None:
    nodes = [
        *both("image", "x", "sx", "zx"),
        node("DequantizeLinear", "w sw zw", "weight", axis=0),
        node("Conv", "image weight", "one"),
        *both("ones", "one", "sy", "zx"),
        node("Sigmoid", "ones"),
        *both("gates", "sigmoid", "sg", "zy"),
        node("Conv", "image weight", "two"),
        node("Add", "gates two"),
        *both("sum", "add", "sx", "zx"),
        node("GlobalAveragePool", "sum"),
    ]
    file = made(tmp_path / "m.onnx", nodes, ("n", *SHAPE[1:]), NUMBERS | {"sg": np.float32(1 / 256)})
    graph = to_graph(load(file))
    net = quantize_network(graph, images(), 1.0)
    table = next(layer for layer in net.layers if layer.table is not None)
    assert net.tensor[table.name].scale == pytest.approx(1 / 256) and net.tensor["add"].scale == pytest.approx(S_X)
    for layer in net.layers:
        if layer.name in ("one", "two"):
            np.testing.assert_array_equal(layer.terms[0].weight, WEIGHT)
    close(file, graph, net)


def test_qonnx_of_four_bits(tmp_path: Path) -> None:
    numbers = {"s": 0.25, "z": 0.0, "four": 4.0, "sw": STEPS.reshape(4, 1, 1, 1), "w": WEIGHT * 0.01, "sy": 0.5}
    nodes = [
        node("Quant", "x s z four", "image", signed=1, narrow=0, rounding_mode="ROUND"),
        node("Quant", "w sw z four", "weight", signed=1, narrow=1, rounding_mode="ROUND"),
        node("Conv", "image weight", "conv"),
        node("Relu", "conv"),
        node("Quant", "relu sy z four", "relus", signed=0, narrow=0, rounding_mode="ROUND"),
        node("GlobalAveragePool", "relus"),
    ]
    graph = to_graph(load(made(tmp_path / "m.onnx", nodes, ("n", *SHAPE[1:]), numbers)))
    wanted = np.clip(np.rint(np.float32(WEIGHT * 0.01) / numbers["sw"]), -7, 7)
    for bits in (4, 8):
        net = quantize_network(graph, images(), 1.0, QuantizeConfig(weight_bits=bits, act_bits=bits))
        conv = next(layer for layer in net.layers if layer.name == "conv")
        made_of, most = conv.terms[0].weight, np.abs(wanted).max((1, 2, 3), keepdims=True)
        np.testing.assert_array_equal(made_of * (most // np.abs(made_of).max((1, 2, 3), keepdims=True)), wanted)
        assert conv.clamp == (0, 15) and net.tensor["conv"].scale == 0.5 and net.input.scale == 0.25
        assert net.layers[0].clamp == (-8, 7)


class Decomposed(nn.Module):
    """What PT2E makes of a convolution with a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("w", torch.from_numpy(WEIGHT))
        self.register_buffer("s", torch.from_numpy(STEPS))
        self.register_buffer("z", torch.zeros(4, dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ops, signed, unsigned = torch.ops.quantized_decomposed, (-128, 127, torch.int8), (0, 255, torch.uint8)
        x = ops.quantize_per_tensor(x, float(S_X), 0, *signed)
        x = ops.dequantize_per_tensor(x, float(S_X), 0, *signed)
        w = ops.dequantize_per_channel(self.w, self.s, self.z, 0, *signed)
        y = ops.quantize_per_tensor(torch.relu(torch.conv2d(x, w)), float(S_Y), 0, *unsigned)
        made: torch.Tensor = torch.nn.functional.avg_pool2d(ops.dequantize_per_tensor(y, float(S_Y), 0, *unsigned), 4)
        return made


def test_pt2e_programs_keep_theirs(tmp_path: Path) -> None:
    module = Decomposed().eval()
    torch.export.save(torch.export.export(module, (torch.zeros(1, *SHAPE[1:]),)), tmp_path / "m.pt2")
    graph = to_graph(load(tmp_path / "m.pt2"))
    x = images()
    floats = evaluate(graph, x.astype(np.float64))[graph.outputs[0]]
    np.testing.assert_allclose(floats, module(torch.from_numpy(x)).numpy(), atol=1e-5)
    net = quantize_network(graph, x, 1.0)
    np.testing.assert_array_equal(net.layers[0].terms[0].weight, WEIGHT)
    np.testing.assert_allclose([net.input.scale, net.tensor[net.layers[0].name].scale], [S_X, S_Y], rtol=1e-7)


REFUSED: dict[str, tuple[Sequence[onnx.NodeProto], Mapping[str, Any], str]] = {
    "other scale": (
        [node("QuantizeLinear", "x sx zx", "q"), node("DequantizeLinear", "q sy zx", "d")],
        {},
        r"^d \(DequantizeLinear\): it takes back by 0.037 what was divided by 0.021; give",
    ),
    "scales by channel": (
        [node("QuantizeLinear", "x two zx", "q", axis=1), node("DequantizeLinear", "q two zx", "d", axis=1)],
        {"two": [0.5, 0.25]},
        r"^q \(QuantizeLinear\): its scale has shape \(2,\); use one scale for all channels",
    ),
    "weights around 100": (
        [node("DequantizeLinear", "u sx z", "weight"), node("Conv", "x weight")],
        {"u": WEIGHT.view(np.uint8), "z": np.uint8(100)},
        r"its weights need more than 8 bits once .*; quantise weights symmetrically",
    ),
    "operators of integers": (
        [node("QLinearConv", "x sx zx w sx zx sy zx", "conv")],
        {},
        r"^conv \(QLinearConv\): this operator is not supported; quantise the model statically, in the format QDQ",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_kept_is_refused(name: str, tmp_path: Path) -> None:
    nodes, numbers, wanted = REFUSED[name]
    errors = check(load(made(tmp_path / "m.onnx", nodes, ("n", *SHAPE[1:]), NUMBERS | dict(numbers))))
    assert any(re.search(wanted, str(error)) for error in errors), errors
