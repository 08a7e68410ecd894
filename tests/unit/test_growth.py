"""What a network costs grows with its depth, not with its square: counted in lines of code, not in seconds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hwprm.compiler import compile_network
from hwprm.compiler.layout.layout import Layout, lay_out
from hwprm.compiler.timing.cycles import count_cycles
from hwprm.compiler.timing.stalls import MemoryModel
from hwprm.config import ArrayConfig, MemoryConfig
from hwprm.frontend.draft import Draft
from hwprm.graph import Add, Conv2d, Graph, Input, MaxPool2d, Relu
from hwprm.intnet import Term
from hwprm.pruning.paths.summands import drop_constant_summands
from tests.support.growth import lines_run
from tests.support.networks import Spec, network, seeded_weights

#: Twice as deep: twice the lines, and a little for what stays the same. A loop in a loop makes it four times.
FACTOR = 2.2


def residual_graph(depth: int) -> Graph:
    """Residual blocks of which every other one is silent but for its bias."""
    rng = np.random.default_rng(0)
    nodes: list[Input | Conv2d | Add] = [Input(name="x", inputs=(), shape=(2, 3, 3))]
    last = "x"
    for i in range(depth):
        weight = rng.normal(size=(2, 2, 1, 1)) * (i % 2)
        nodes.append(Conv2d(name=f"conv{i}", inputs=(last,), weight=weight, bias=np.ones(2)))
        nodes.append(Add(name=f"sum{i}", inputs=(last, f"conv{i}")))
        last = f"sum{i}"
    return Graph(tuple(nodes), (last,))


def replaced(depth: int) -> Callable[[], object]:
    graph = residual_graph(depth)
    return lambda: graph.replace(graph.nodes[1])


def summands(depth: int) -> Callable[[], object]:
    graph = residual_graph(depth)
    return lambda: drop_constant_summands(graph)


def laid_out(depth: int, **array: str) -> Layout:
    names = ["image", *(f"conv{i}" for i in range(depth))]
    layers = [
        Spec(name=name, terms=(Term(source=source, weight=seeded_weights(3, 3, 1, 1)),), wide=name == names[-1])
        for source, name in zip(names, names[1:], strict=False)
    ]
    return lay_out(network((3, 3, 3), layers), ArrayConfig(rows=2, cols=2, **array))


def cycles(depth: int) -> Callable[[], object]:
    layout = laid_out(depth)
    return lambda: count_cycles(layout)


def stalls(depth: int) -> Callable[[], object]:
    program = compile_network(laid_out(depth).network, ArrayConfig(rows=2, cols=2, weights="axi"))
    per_layer = [layer.cycles for layer in program.cycles.layers]
    return lambda: MemoryModel(program.tiles, per_layer, program.hardware, MemoryConfig()).image(0)


def signs(depth: int) -> Callable[[], object]:
    """Whether the end of a chain of sums is never negative, asked while it grows."""

    def grow() -> bool:
        draft = Draft(())
        draft.put(Input(name="x", inputs=(), shape=(2, 3, 3)))
        last = draft.put(Relu(name="relu", inputs=("x",)))
        for i in range(depth):
            sides = [
                draft.put(MaxPool2d(name=f"{side}{i}", inputs=(last,), kernel=(1, 1), stride=(1, 1))) for side in "ab"
            ]
            last = draft.put(Add(name=f"sum{i}", inputs=tuple(sides)))
        return draft.never_negative(last)

    return grow


@pytest.mark.parametrize("make", [replaced, summands, cycles, stalls, signs])
def test_twice_as_deep_costs_twice(make: Callable[[int], Callable[[], object]]) -> None:
    shallow, deep = (lines_run(make(depth)) for depth in (40, 80))
    assert shallow > 40  # something was counted
    assert deep < FACTOR * shallow


def test_a_graph_looks_at_the_numbers_of_new_nodes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, seen = residual_graph(8), []
    isfinite = np.isfinite
    monkeypatch.setattr(np, "isfinite", lambda array: (seen.append(array.shape), isfinite(array))[1])
    fresh = Conv2d(name="conv3", inputs=("sum2",), weight=np.zeros((2, 2, 1, 1)), bias=np.ones(2))
    graph.replace(fresh)
    assert sorted(seen) == [(2,), (2, 2, 1, 1)]
