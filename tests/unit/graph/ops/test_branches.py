"""Operators that join, choose, clamp and average: float64 and torch module against torch, files, refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn import functional

from hwprm.core.errors import ModelError
from hwprm.graph import Add, AvgPool2d, Channels, Clamp, Concat, Conv2d, Graph, Input, Node, evaluate
from hwprm.nets import GraphModule
from tests.support.rounds import examples


def graph(*nodes: Node, shape: tuple[int, ...] = (3, 6, 5)) -> Graph:
    return Graph((Input(name="x", inputs=(), shape=shape), *nodes), (nodes[-1].name,))


def results(made: Graph, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The output by `evaluate` and by `GraphModule`."""
    (name,) = made.outputs
    plain = evaluate(made, x)[name]
    assert plain.shape == (len(x), *made.shapes[name])
    return plain, GraphModule(made)(torch.from_numpy(x)).detach().numpy()


@examples(60)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.booleans(), st.booleans(), st.integers(3, 9))
def test_average_pool_is_torchs(kernel: int, stride: int, pad: int, ceil: bool, count: bool, size: int) -> None:
    assume(2 * pad <= kernel <= size + 2 * pad)
    x = np.random.default_rng(size).normal(size=(2, 3, size, 5))
    shape = {"kernel": (kernel, 2), "stride": (stride, 1), "padding": (pad, pad, 1, 1)}
    node = AvgPool2d(name="y", inputs=("x",), **shape, ceil_mode=ceil, count_include_pad=count)
    expected = functional.avg_pool2d(torch.from_numpy(x), (kernel, 2), (stride, 1), (pad, 1), ceil, count).numpy()
    for got in results(graph(node, shape=(3, size, 5)), x):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_average_pool_with_uneven_padding() -> None:
    x = np.ones((1, 1, 2, 2))
    node = AvgPool2d(name="y", inputs=("x",), kernel=(2, 2), stride=(1, 1), padding=(1, 0, 0, 1))
    for got in results(graph(node, shape=(1, 2, 2)), x):
        np.testing.assert_array_equal(got, [[[[0.5, 0.25], [1, 0.5]]]])
    np.testing.assert_array_equal(node.divisors((1, 2, 2)), np.full((2, 2), 4))


@pytest.mark.parametrize(("low", "high"), [(None, None), (0.0, 6.0), (-1.0, 1.0), (None, 0.5), (0.25, None)])
def test_clamp(low: float | None, high: float | None) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 5)) * 4
    expected = np.clip(x, -np.inf if low is None else low, np.inf if high is None else high)
    for got in results(graph(Clamp(name="y", inputs=("x",), low=low, high=high)), x):
        np.testing.assert_array_equal(got, expected)


def test_add_concat_and_channels() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 5))
    made = graph(
        Channels(name="c", inputs=("x",), indices=(2, 0, 2)),
        Add(name="a", inputs=("x", "c", "x")),
        Concat(name="y", inputs=("a", "x", "c")),
    )
    chosen = x[:, [2, 0, 2]]
    for got in results(made, x):
        np.testing.assert_allclose(got, np.concatenate([2 * x + chosen, x, chosen], axis=1), rtol=1e-12)


def test_gradients_flow_through_every_branch() -> None:
    conv = Conv2d(name="conv", inputs=("x",), weight=np.ones((3, 3, 1, 1)), bias=np.zeros(3))
    made = graph(
        conv,
        Channels(name="c", inputs=("conv",), indices=(1, 2, 0)),
        Clamp(name="k", inputs=("c",), low=-9.0, high=9.0),
        Add(name="a", inputs=("k", "conv")),
        Concat(name="j", inputs=("a", "x")),
        AvgPool2d(name="y", inputs=("j",), kernel=(6, 5), stride=(6, 5)),
    )
    module = GraphModule(made)
    module(torch.full((1, 3, 6, 5), 2.0, dtype=torch.float64)).sum().backward()
    np.testing.assert_allclose(module.weight("conv").grad.numpy(), np.full((3, 3, 1, 1), 4.0))


def test_round_trip(tmp_path: Path) -> None:
    made = graph(
        Channels(name="c", inputs=("x",), indices=(2, 0, 1)),
        Clamp(name="k", inputs=("c",), low=-0.1),
        Add(name="a", inputs=("k", "x")),
        Concat(name="j", inputs=("a", "x")),
        AvgPool2d(name="y", inputs=("j",), kernel=(2, 2), stride=(1, 1), ceil_mode=True, count_include_pad=False),
    )
    made.save(tmp_path)
    again = Graph.load(tmp_path)
    assert [vars(node) for node in again.nodes] == [vars(node) for node in made.nodes]


REFUSED = {
    "one summand": (Add(name="y", inputs=("x",)), "'y' joins 1 tensors; give it two or more"),
    "nothing joined": (Concat(name="y", inputs=()), "'y' joins 0 tensors"),
    "sum of sizes": (Add(name="y", inputs=("x", "half")), r"'y' adds tensors \(3, 6, 5\), \(3, 3, 2\), whose sizes"),
    "join of sizes": (Concat(name="y", inputs=("x", "half")), r"'y' joins the channels of tensors \(3, 6, 5\), "),
    "channel 3 of 3": (Channels(name="y", inputs=("x",), indices=(0, 3)), r"takes channels \(0, 3\) of a tensor"),
    "no channels": (Channels(name="y", inputs=("x",), indices=()), "makes an empty tensor"),
    "ends swapped": (Clamp(name="y", inputs=("x",), low=1.0, high=0.0), "has low 1.0 above high 0.0; swap them"),
    "infinite end": (Clamp(name="y", inputs=("x",), low=-np.inf), "give None for an open end"),
    "large kernel": (AvgPool2d(name="y", inputs=("x",), kernel=(7, 1), stride=(1, 1)), "makes an empty tensor"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    node, text = REFUSED[name]
    half = AvgPool2d(name="half", inputs=("x",), kernel=(2, 2), stride=(2, 2))
    with pytest.raises(ModelError, match=text):
        graph(half, node)


def test_an_average_of_a_vector_is_refused() -> None:
    with pytest.raises(ModelError, match=r"average pool 'y' needs a map \(C, H, W\), it reads \(4,\)"):
        graph(AvgPool2d(name="y", inputs=("x",), kernel=(1, 1), stride=(1, 1)), shape=(4,))
