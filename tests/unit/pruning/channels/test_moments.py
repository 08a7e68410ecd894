"""What channels contribute is measured as it is defined, and a constant channel contributes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwprm.data import Dataset
from hwprm.graph import BatchNorm, Conv2d, Flatten, Graph, Input, Linear, Relu, evaluate
from hwprm.pruning.channels.blocks import narrow
from hwprm.pruning.channels.groups import channel_groups
from hwprm.pruning.channels.moments import channel_moments, compensated, scores, with_new_statistics
from tests.unit.pruning.widths.nets import CONSTANT, UNREAD, bright_columns, known_graph


def _set(shape: tuple[int, ...], count: int = 40) -> Dataset:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(count, *shape)).astype(np.float32)
    y = np.arange(count) % 2
    return Dataset(name="set", source="made", x_train=x, y_train=y, x_test=x, y_test=y, classes=2)


def _padded() -> Graph:
    """Two convolutions, the second padded unevenly, strided and dilated; a linear layer behind a flatten."""
    rng = np.random.default_rng(4)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    second = Conv2d(
        name="b",
        inputs=("r",),
        weight=normal(4, 3, 2, 3),
        bias=normal(4),
        stride=(2, 1),
        padding=(1, 0, 2, 1),
        dilation=(1, 2),
    )
    return Graph(
        (
            Input(name="image", inputs=(), shape=(2, 5, 6)),
            Conv2d(name="a", inputs=("image",), weight=normal(3, 2, 3, 3), bias=normal(3), padding=(1, 1, 1, 1)),
            Relu(name="r", inputs=("a",)),
            second,
            Flatten(name="f", inputs=("b",)),
            Linear(name="c", inputs=("f",), weight=normal(2, 4 * 3 * 5), bias=normal(2)),
        ),
        ("c",),
    )


def test_scores_are_the_mean_squares_of_what_channels_add():
    graph, data = _padded(), _set((2, 5, 6))
    groups = channel_groups(graph)
    found = scores(groups, channel_moments(groups, data, np.arange(40)))
    values = evaluate(graph, data.x_train)
    for reader, axes in (("b", (0, 2, 3)), ("c", 0)):
        node = graph.by_name[reader]
        x = values[node.inputs[0]]
        x = x - x.mean(axis=axes, keepdims=True)
        of = groups.of[node.inputs[0]]
        given = {}
        for group in np.unique(of):
            alone = graph.replace(replace(node, bias=np.zeros_like(node.bias)))
            part = Graph((Input(name="x", inputs=(), shape=x.shape[1:]), replace(node, inputs=("x",))), (reader,))
            part = part.replace(replace(alone.by_name[reader], inputs=("x",)))
            one = x * (of == group).reshape(-1, *[1] * (x.ndim - 2))
            out = evaluate(part, one)[reader]
            given[group] = (out**2).sum(axis=1).mean()
        mean = np.mean(list(given.values()))
        np.testing.assert_allclose([found[g] for g in given], [v / mean for v in given.values()], rtol=1e-4)


def test_constant_and_unread_channels_score_nothing():
    groups = channel_groups(known_graph())
    found = scores(groups, channel_moments(groups, bright_columns(), np.arange(100)))[groups.of["relu"]]
    assert np.flatnonzero(found == 0).tolist() == [CONSTANT, UNREAD]


def test_a_constant_channel_scores_nothing_before_a_padded_reader_too():
    graph = _padded()
    first = graph.by_name["a"]
    weight, bias = first.weight.copy(), first.bias.copy()
    weight[1], bias[1] = 0, 0.3
    graph = graph.replace(replace(first, weight=weight, bias=bias))
    groups = channel_groups(graph)
    found = scores(groups, channel_moments(groups, _set((2, 5, 6)), np.arange(40)))
    assert np.flatnonzero(found[groups.of["a"]] == 0).tolist() == [1]


def test_cutting_a_constant_channel_changes_no_output_without_padding():
    groups = channel_groups(known_graph())
    data = bright_columns()
    moments = channel_moments(groups, data, np.arange(50))
    keep = np.ones(groups.count, dtype=bool)
    keep[groups.of["relu"][CONSTANT]] = False
    small = narrow(replace(groups, graph=compensated(groups, moments, keep)), keep)
    x = data.x_train / 255
    np.testing.assert_allclose(evaluate(small, x)["fc"], evaluate(groups.graph, x)["fc"], atol=1e-6)
    bare = narrow(groups, keep)
    assert not np.allclose(evaluate(bare, x)["fc"], evaluate(groups.graph, x)["fc"], atol=1e-2)


def test_means_of_sums_stay_what_they_were_behind_a_cut():
    graph, data = _padded(), _set((2, 5, 6))
    groups = channel_groups(graph)
    moments = channel_moments(groups, data, np.arange(40))
    keep = np.ones(groups.count, dtype=bool)
    keep[groups.of["a"][[0, 2]]] = False
    small = narrow(replace(groups, graph=compensated(groups, moments, keep)), keep)
    before, after = (evaluate(one, data.x_train)["b"].mean(axis=(0, 2, 3)) for one in (graph, small))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fixed", [False, True])
def test_batch_norms_get_the_statistics_of_the_images(fixed):
    rng = np.random.default_rng(0)
    ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
    norm = BatchNorm(name="n", inputs=("a",), weight=ones, bias=zeros, mean=zeros, var=ones, eps=1e-5, fixed=fixed)
    weight = rng.normal(size=(3, 2, 3, 3)).astype(np.float32)
    conv = Conv2d(name="a", inputs=("image",), weight=weight, bias=ones)
    graph = Graph((Input(name="image", inputs=(), shape=(2, 5, 6)), conv, norm), ("n",))
    data = _set((2, 5, 6), 64)
    out = evaluate(with_new_statistics(graph, data, np.arange(64)), data.x_train)["n"]
    if fixed:
        np.testing.assert_array_equal(out, evaluate(graph, data.x_train)["n"])
    else:
        np.testing.assert_allclose(out.mean(axis=(0, 2, 3)), 0, atol=1e-5)
        np.testing.assert_allclose(out.std(axis=(0, 2, 3)), 1, atol=0.02)
