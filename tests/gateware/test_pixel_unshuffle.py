"""Pixel unshuffle from torch.export to the simulated accelerator; its file is all that the package knows of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwprm.core.errors import ModelError
from hwprm.frontend import check, to_graph
from hwprm.graph import Graph, Input
from hwprm.graph.ops.pixel_unshuffle import PixelUnshuffle
from hwprm.pruning.channels.groups import channel_groups
from hwprm.pruning.compaction.compaction import compact_graph
from tests.support.meaning import assert_same_meaning
from tests.support.rules import assert_rules_agree

SHAPE = (2, 6, 6)


class Function(nn.Module):
    """A function of an image and of two seeded convolutions."""

    def __init__(self, function: Callable[[Function, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.first, self.second = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(12, 2, 1)
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.4)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def unshuffled(x: Tensor, factor: int = 2) -> Tensor:
    return nn.functional.pixel_unshuffle(x, factor)


NETWORKS: dict[str, Callable[[Function, Tensor], Tensor]] = {
    "of the image": lambda m, x: unshuffled(x),
    "by three": lambda m, x: torch.relu(unshuffled(m.first(x), 3)),
    "between convolutions": lambda m, x: m.second(unshuffled(torch.relu(m.first(x)))),
    "of a concatenation": lambda m, x: unshuffled(torch.cat((m.first(x), x), 1)),
    "back again": lambda m, x: nn.functional.pixel_shuffle(unshuffled(m.first(x)), 2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_integers_are_those_of_the_float_network_and_of_the_hardware(name: str) -> None:
    module = Function(NETWORKS[name]).double().eval()
    assert all("does not use" in finding.problem for finding in check(module, SHAPE))
    images = np.random.default_rng(1).normal(size=(4, *SHAPE))
    simulated = name in ("of the image", "between convolutions")
    _, found = assert_same_meaning(module, images, simulated=simulated)
    if name == "back again":
        np.testing.assert_array_equal(found["pixel_shuffle"], found["first"])


@pytest.mark.parametrize(("factor", "shape"), [(1, (2, 2, 3)), (2, (3, 4, 2)), (3, (2, 3, 6))])
def test_rules_agree(factor: int, shape: tuple[int, ...]) -> None:
    assert_rules_agree(PixelUnshuffle(name="s", inputs=("a",), factor=factor), [shape])


def test_channels_of_a_square_stay_and_go_together() -> None:
    graph = to_graph(Function(NETWORKS["between convolutions"]).double().eval(), SHAPE)
    groups = channel_groups(graph)
    assert groups.of["pixel_unshuffle"].tolist() == np.repeat(groups.of["first"], 4).tolist()
    first, second = graph.weighted
    weight = second.weight.copy()
    weight[:, 4:8] = 0  # the squares of the second channel
    small, _ = compact_graph(graph.replace(replace(second, weight=weight)))  # compaction proves itself
    assert (small.shapes["first"][0], small.shapes["pixel_unshuffle"][0]) == (2, 8)
    weight[:, 9] = 0  # one of four: the square stays
    small, _ = compact_graph(graph.replace(replace(second, weight=weight)))
    assert (small.shapes["first"][0], small.shapes["pixel_unshuffle"][0]) == (2, 8)
    bias = np.array([0.0, 0.75, 0.0])
    constant = replace(first, weight=first.weight * np.array([1, 0, 1])[:, None, None, None], bias=bias)
    small, _ = compact_graph(graph.replace(constant))
    assert small.shapes["first"][0] == 2


def test_refusals() -> None:
    node = PixelUnshuffle(name="s", inputs=("x",), factor=2)
    with pytest.raises(ModelError, match=r"^pixel unshuffle 's' cuts squares of 2 pixels out of \(1, 4, 3\); give it"):
        Graph((Input(name="x", inputs=(), shape=(1, 4, 3)), node), ("s",))
    with pytest.raises(ModelError, match=r"^pixel unshuffle 's' needs a map"):
        Graph((Input(name="x", inputs=(), shape=(4,)), node), ("s",))
