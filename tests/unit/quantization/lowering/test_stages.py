"""Operators of several stages, and of none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from hwprm.core.errors import UnsupportedError
from hwprm.graph import Clamp, Graph, Input, Relu
from hwprm.graph.ops.pixel_shuffle import PixelShuffle
from hwprm.graph.rules.stages import Stage
from hwprm.quantization import quantize_network
from hwprm.quantization.lowering.lower import lower
from hwprm.quantization.lowering.stages import staged

X = Input(name="x", inputs=(), shape=(4, 2, 3))


class Refusing(Clamp):
    """A clamp that no accelerator does."""

    def quantised(self, shapes: Sequence[tuple[int, ...]]) -> tuple[Stage, ...]:
        raise UnsupportedError(f"{self.name!r} cannot run; use relu")


class Halfway(Clamp):
    """A clamp that asks for what no layer begins with."""

    def quantised(self, shapes: Sequence[tuple[int, ...]]) -> tuple[Stage, ...]:
        return (Stage(),)


def test_stages_in_between_take_free_names() -> None:
    nodes = (X, Relu(name="s_1", inputs=("x",)), PixelShuffle(name="s", inputs=("s_1",), factor=2))
    graph = staged(Graph(nodes, ("s",)))
    assert [node.name for node in graph.nodes] == ["x", "s_1", "s_1_", "s_2", "s_3", "s"]
    assert [graph.shapes[node.name] for node in graph.nodes[2:]] == [(4, 4, 3), (2, 4, 3), (2, 4, 6), (1, 4, 6)]
    fused = lower(Graph(nodes, ("s",)))
    assert [(layer.name, len(layer.terms), layer.upsample) for layer in fused.layers] == [
        ("s_1", 1, (2, 1)),
        ("s_2", 4, (1, 2)),
        ("s", 6, (1, 1)),
    ]


def test_a_shuffled_image_is_copied_as_it_is() -> None:
    graph = Graph((X, PixelShuffle(name="s", inputs=("x",), factor=2)), ("s",))
    net = quantize_network(graph, np.random.default_rng(0).normal(size=(2, 4, 2, 3)), 1.0)
    assert net.tensor["s"].scale == net.tensor["x"].scale


def test_what_the_operators_refuse_is_told_at_once() -> None:
    nodes = (X, Refusing(name="a", inputs=("x",)), Relu(name="b", inputs=("a",)), Halfway(name="c", inputs=("b",)))
    with pytest.raises(UnsupportedError) as caught:
        lower(Graph(nodes, ("c",)))
    assert caught.value.nodes == (
        ("a", "'a' cannot run; use relu"),
        ("c", "'c': no layer begins with Stage; use another operator"),
    )
