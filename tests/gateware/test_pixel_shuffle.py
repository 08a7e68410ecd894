"""Pixel shuffle from torch.export to the simulated accelerator; its file is all that the package knows of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwprm.core.errors import ModelError
from hwprm.frontend import check, to_graph
from hwprm.graph import Conv2d, Graph, Input, evaluate
from hwprm.graph.ops.pixel_shuffle import PixelShuffle
from hwprm.intnet import reference
from hwprm.pruning.channels.groups import channel_groups
from hwprm.pruning.compaction.compaction import compact_graph
from hwprm.pruning.paths.paths import remove_unused_paths
from hwprm.quantization import quantize_images, quantize_network
from tests.support.meaning import assert_same_meaning
from tests.support.rules import assert_rules_agree


class Upscale(nn.Module):
    """A convolution to r * r maps a channel, pixel shuffle, what `behind` makes of it."""

    def __init__(self, factor: int, behind: nn.Module, channels: int = 2) -> None:
        super().__init__()
        self.conv, self.shuffle = nn.Conv2d(3, channels * factor**2, 3, padding=1), nn.PixelShuffle(factor)
        self.behind = behind
        generator = torch.Generator().manual_seed(factor)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.4)

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(self.shuffle(self.conv(x)))


NETWORKS = {
    "output": lambda: Upscale(2, nn.Identity()),
    "by three": lambda: Upscale(3, nn.Identity(), channels=1),
    "activation and convolution": lambda: Upscale(2, nn.Sequential(nn.ReLU(), nn.Conv2d(2, 2, 3))),
    "max pool": lambda: Upscale(2, nn.MaxPool2d(3, 2)),
    "twice": lambda: Upscale(2, nn.Sequential(nn.Conv2d(2, 4, 1), nn.PixelShuffle(2))),
    "linear": lambda: Upscale(2, nn.Sequential(nn.Flatten(), nn.Linear(2 * 8 * 6, 3))),
}
SHAPE = (3, 4, 3)


def images(count: int = 4) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, *SHAPE))


@pytest.mark.parametrize("name", NETWORKS)
def test_integers_are_those_of_the_float_network_and_of_the_hardware(name: str) -> None:
    module = NETWORKS[name]().double().eval()
    assert check(module, SHAPE) == []
    assert_same_meaning(module, images(), simulated=name in ("output", "activation and convolution"))


@pytest.mark.parametrize(("factor", "shape"), [(1, (2, 2, 3)), (2, (8, 3, 2)), (3, (9, 1, 2))])
def test_rules_agree(factor: int, shape: tuple[int, ...]) -> None:
    assert_rules_agree(PixelShuffle(name="s", inputs=("a",), factor=factor), [shape])


def test_it_is_exact() -> None:
    """No number changes: the integers behind it are those before it, in other places."""
    graph = to_graph(NETWORKS["twice"]().double().eval(), SHAPE)
    net = quantize_network(graph, images(), 1.0)
    found = reference.run(net, quantize_images(images(), 1.0, net))
    before, after = found["conv"], found["pixel_shuffle"]  # the first stage joined the convolution
    before = before[:, :, ::2]
    np.testing.assert_array_equal(
        torch.nn.functional.pixel_shuffle(torch.from_numpy(before).double(), 2).numpy(), after
    )
    assert net.tensor["conv"].scale == net.tensor["pixel_shuffle"].scale


def masked(graph: Graph, gone: list[int], bias: float) -> Graph:
    """`graph` with the filters `gone` of its first layer without weights, and with a `bias`."""
    conv = graph.weighted[0]
    weight, biases = conv.weight.copy(), conv.bias.copy()
    weight[gone], biases[gone] = 0, bias
    return graph.replace(replace(conv, weight=weight, bias=biases))


def test_channels_of_a_square_stay_and_go_together() -> None:
    graph = to_graph(NETWORKS["activation and convolution"]().double().eval(), SHAPE)
    groups = channel_groups(graph)
    assert groups.of["conv"].tolist() == [*[groups.of["pixel_shuffle"][0]] * 4, *[groups.of["pixel_shuffle"][1]] * 4]
    small, _ = compact_graph(masked(graph, [1, 2], 0.0))  # compaction proves itself
    assert small.shapes["conv"][0] == 8
    small, _ = compact_graph(masked(graph, [4, 5, 6, 7], 0.0))
    assert (small.shapes["conv"][0], small.shapes["pixel_shuffle"][0]) == (4, 1)


@pytest.mark.parametrize(("values", "left"), [((0.5, 0.5, 0.5, 0.5), 1), ((0.5, 0.5, 0.25, 0.5), 2)])
def test_a_constant_square_needs_one_constant(values: tuple[float, ...], left: int) -> None:
    graph = to_graph(NETWORKS["activation and convolution"]().double().eval(), SHAPE)
    graph = masked(graph, [4, 5, 6, 7], 0.0)
    conv = graph.weighted[0]
    graph = graph.replace(replace(conv, bias=np.concatenate([conv.bias[:4], values])))
    closed, _ = remove_unused_paths(graph)
    behind = closed.weighted[1]
    assert isinstance(behind, Conv2d) and int(behind.weight.any(axis=(0, 2, 3)).sum()) == left
    before, after = (evaluate(one, images())[one.outputs[0]] for one in (graph, closed))
    np.testing.assert_allclose(before, after, atol=1e-12)


def test_files_and_refusals(tmp_path: Path) -> None:
    graph = to_graph(NETWORKS["by three"]().eval(), SHAPE)
    graph.save(tmp_path)
    (shuffle,) = (node for node in Graph.load(tmp_path).nodes if isinstance(node, PixelShuffle))
    assert (shuffle.name, shuffle.factor) == ("pixel_shuffle", 3)
    x = Input(name="x", inputs=(), shape=(6, 2, 2))
    with pytest.raises(
        ModelError, match=r"^pixel shuffle 's' by 2 makes squares of 2\*\*2 channels, it reads \(6, 2, 2\)"
    ):
        Graph((x, PixelShuffle(name="s", inputs=("x",), factor=2)), ("s",))
    with pytest.raises(ModelError, match=r"^pixel shuffle 's' needs a map"):
        Graph((Input(name="x", inputs=(), shape=(4,)), PixelShuffle(name="s", inputs=("x",), factor=2)), ("s",))
    assert [type(n).__name__ for n in to_graph(Upscale(1, nn.ReLU()), SHAPE).nodes] == ["Input", "Conv2d", "Relu"]
