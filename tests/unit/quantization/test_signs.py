"""Which tensors are unsigned, and what the bit that this saves is worth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hwprm.config import QuantizeConfig
from hwprm.frontend import to_graph
from hwprm.graph import AvgPool2d, Clamp, Conv2d, Graph, Input, MaxPool2d, Node, Relu, Upsample
from hwprm.intnet import IntegerNetwork, reference
from hwprm.quantization import crosscheck, quantize_images, quantize_network


def conv(name: str, source: str, channels: int = 2) -> Conv2d:
    weight = np.random.default_rng(len(name)).normal(size=(2, channels, 1, 1))
    return Conv2d(name=name, inputs=(source,), weight=weight, bias=np.array([0.1, -0.1]))


def signs(*nodes: Node, low: float = -1.0) -> dict[str, bool]:
    """{tensor: whether it is signed} of `nodes` on images of ``low..1``; convolutions read every node and leave."""
    shapes = Graph((Input(name="x", inputs=(), shape=(2, 4, 4)), *nodes), (nodes[-1].name,)).shapes
    ends = tuple(conv(f"out_{node.name}", node.name, shapes[node.name][0]) for node in nodes)
    graph = Graph((Input(name="x", inputs=(), shape=(2, 4, 4)), *nodes, *ends), tuple(end.name for end in ends))
    x = np.random.default_rng(0).uniform(low, 1, (3, 2, 4, 4))
    net = quantize_network(graph, x, 1.0)
    integers = quantize_images(x, 1.0, net)
    crosscheck(net, integers, reference.run(net, integers))
    for name, values in reference.run(net, integers).items():
        assert net.limits(name)[0] <= values.min() and values.max() <= net.limits(name)[1]
    return {tensor.name: tensor.signed for tensor in net.tensors}


def test_what_never_is_negative_is_unsigned_and_outputs_never_are() -> None:
    made = signs(conv("a", "x"), Relu(name="r", inputs=("a",)), conv("b", "r"), low=0.0)
    assert made == {"x": False, "a": True, "r": False, "b": True, "out_a": True, "out_r": True, "out_b": True}
    assert signs(conv("a", "x"))["x"]


@pytest.mark.parametrize(
    ("low", "high", "signed"), [(0.0, 1.0, False), (0.25, None, False), (-0.1, None, True), (None, -0.1, True)]
)
def test_a_clamp_decides_by_its_lower_end(low: float | None, high: float | None, signed: bool) -> None:
    assert signs(conv("a", "x"), Clamp(name="c", inputs=("a",), low=low, high=high))["c"] is signed


@pytest.mark.parametrize(
    "node",
    [
        MaxPool2d(name="n", inputs=("r",), kernel=(2, 2), stride=(1, 1)),
        AvgPool2d(name="n", inputs=("r",), kernel=(2, 2), stride=(1, 1)),
        AvgPool2d(name="n", inputs=("r",), kernel=(3, 3), stride=(1, 1), padding=(1,) * 4, count_include_pad=False),
        Upsample(name="n", inputs=("r",), factors=(2, 1)),
    ],
    ids=lambda node: type(node).__name__,
)
def test_what_adds_up_nothing_negative_stays_unsigned(node: Node) -> None:
    """Pools, averages, copies and sums, without a clamp of their own."""
    assert not signs(conv("a", "x"), Relu(name="r", inputs=("a",)), node)["n"]
    assert signs(conv("r", "x"), node)["n"]


def test_a_clamp_below_zero_of_what_is_positive_is_signed() -> None:
    """Its every value is below zero, although no sum is."""
    below = Clamp(name="c", inputs=("r",), low=None, high=-0.5)
    assert signs(conv("a", "x"), Relu(name="r", inputs=("a",)), below)["c"]


@pytest.mark.parametrize(("kind", "scale"), [(np.uint8, 1 / 255), (np.uint8, 1.0), (np.uint16, 0.25)])
def test_images_of_as_many_unsigned_bits_are_taken_as_they_are(kind: type[np.unsignedinteger], scale: float) -> None:
    bits = 8 * np.dtype(kind).itemsize
    x = np.random.default_rng(0).integers(0, 200, (3, 2, 4, 4)).astype(kind)  # the largest number does not occur
    graph = Graph((Input(name="x", inputs=(), shape=(2, 4, 4)), conv("out", "x")), ("out",))
    net = quantize_network(graph, x, scale, QuantizeConfig(act_bits=bits))
    assert (net.input.scale, net.input.signed) == (scale, False)
    every = np.arange(1 << bits, dtype=kind)[: 32 * ((1 << bits) // 32)].reshape(-1, 2, 4, 4)
    np.testing.assert_array_equal(quantize_images(every, scale, net), every)


class Block(nn.Module):
    """Two convolutions, normalised, and what came in added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a, self.b = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.n, self.m = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.m(self.b(torch.relu(self.n(self.a(x))))))


def test_a_random_residual_network_uses_all_eight_bits() -> None:
    """Logits of six residual blocks in 8 bits: 25 dB above their noise, where seven bits behind each ReLU left 20."""
    torch.manual_seed(0)
    stem = nn.Conv2d(3, 16, 3, padding=1), nn.ReLU()
    blocks = [Block(16) for _ in range(6)]
    net = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    x = np.random.default_rng(0).integers(0, 256, (80, 3, 12, 12), dtype=np.uint8)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the statistics are those of one batch
    with torch.no_grad():
        net.train()(torch.from_numpy(x[:64]).float() / 255)
        wanted = net.eval()(torch.from_numpy(x[64:]).float() / 255).double().numpy()
    integers = quantize_network(to_graph(net, (3, 12, 12)), x[:64], 1 / 255)
    assert sum(not tensor.signed for tensor in integers.tensors) == 15  # image, stem, 2 of each block, average
    assert _decibels(integers, x[64:], wanted) >= 25


def _decibels(net: IntegerNetwork, x: np.ndarray, wanted: np.ndarray) -> float:
    """Signal to noise of the logits, without what all images have in common."""
    (name,) = net.outputs
    got = reference.logits(net, quantize_images(x, 1 / 255, net))[name].reshape(wanted.shape) * net.tensor[name].scale
    signal, noise = wanted - wanted.mean(axis=0), wanted - wanted.mean(axis=0) - (got - got.mean(axis=0))
    return float(10 * np.log10(np.square(signal).sum() / np.square(noise).sum()))
