"""Dependency groups by hand: the rules of the P-RM authors for ResNet-18 on a small residual network, and constants."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hwprm.config.purify import PurifyConfig
from hwprm.core.errors import ModelError, UnsupportedError
from hwprm.graph import Add, BatchNorm, Concat, Flatten, Graph, evaluate
from hwprm.graph.liveness import channel_pixels
from hwprm.model import Model, Stage
from hwprm.pruning.accounting import account
from hwprm.pruning.compaction.compaction import compact, compact_graph
from hwprm.pruning.paths.paths import emptied_layers, remove_unused_paths
from hwprm.pruning.prm.purification import purify
from hwprm.pruning.statistics import layer_statistics
from tests.unit.pruning.random_dags import DagBuilder, images

STEM, CONV1A, CONV1B, CONV2A, CONV2B, SHORTCUT, FC = "conv1", "conv3", "conv5", "conv8", "conv10", "conv11", "fc15"
TRUNK1, TRUNK2 = "add6", "add12"


def residual_net(bias=0.0):
    """Stem; a block with identity shortcut; a strided block with 1x1 shortcut; mean, flatten, linear. All padded."""
    b = DagBuilder((2, 8, 8), seed=7, keep=2.0)
    b.conv(4, 3, 1)
    b.relu()
    stem = b.last
    b.conv(5, 3, 1)
    b.relu()
    b.conv(4, 3, 1)
    b.sum(b.last, stem)
    b.relu()
    trunk = b.last
    b.conv(5, 3, 1, stride=2)
    b.relu()
    b.conv(6, 3, 1)
    branch = b.last
    b.last = trunk
    b.conv(6, 1, stride=2)
    b.sum(branch, b.last)
    b.mean(4, 4)
    b.flatten()
    b.linear(3)
    graph = b.done()
    for layer in graph.weighted:
        layer.bias[:] = bias
    return graph


def blank(graph, layer, rows=slice(None), channels=slice(None)):
    graph.by_name[layer].weight[rows, channels] = 0


def lives(graph, layer, axis, index):
    return bool(np.take(graph.by_name[layer].weight, index, axis).any())


def assert_equal(before, after, tolerance=1e-12):
    x = images(before, 3)
    for name in before.outputs:
        expected = evaluate(before, x)[name]
        np.testing.assert_allclose(evaluate(after, x)[name], expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_nothing_goes_from_a_dense_network():
    graph = residual_net()
    assert [node.name for node in graph.weighted] == [STEM, CONV1A, CONV1B, CONV2A, CONV2B, SHORTCUT, FC]
    assert remove_unused_paths(graph)[1].removed == ()
    small, _ = compact_graph(graph)
    assert small.shapes == graph.shapes


@pytest.mark.parametrize(("first", "second"), [(CONV1A, CONV1B), (CONV2A, CONV2B)])
def test_inside_a_block_filter_and_channel_go_together(first, second):
    for layer, kind in ((first, "rows"), (second, "channels")):
        graph = residual_net()
        blank(graph, layer, **{kind: 2})
        closed, _ = remove_unused_paths(graph)
        assert not lives(closed, first, 0, 2) and not lives(closed, second, 1, 2)
        assert_equal(graph, closed)
        small, _ = compact_graph(graph)
        assert small.by_name[first].weight.shape[0] == small.by_name[second].weight.shape[1] == 4
        assert account(small, graph) == account(closed, graph)


@pytest.mark.parametrize("ignored", list(product([False, True], repeat=3)))
def test_a_trunk_filter_goes_when_every_reader_ignores_it(ignored):
    graph = residual_net()
    for layer, off in zip((CONV1A, CONV2A, SHORTCUT), ignored, strict=True):
        if off:
            blank(graph, layer, channels=1)
    closed, _ = remove_unused_paths(graph)
    assert lives(closed, STEM, 0, 1) == (not all(ignored))
    assert lives(closed, CONV1B, 0, 1) == (not all(ignored[1:]))  # it is read behind the sum only
    assert_equal(graph, closed)
    small, _ = compact_graph(graph)
    assert small.shapes[TRUNK1][0] == small.shapes[STEM][0] == (3 if all(ignored) else 4)
    assert account(small, graph) == account(closed, graph)


@pytest.mark.parametrize("producers", list(product([False, True], repeat=2)))
def test_a_trunk_channel_goes_when_every_producer_is_blank(producers):
    graph = residual_net()
    for layer, off in zip((STEM, CONV1B), producers, strict=True):
        if off:
            blank(graph, layer, rows=3)
    closed, _ = remove_unused_paths(graph)
    assert lives(closed, CONV1A, 1, 3) == (not producers[0])
    assert lives(closed, CONV2A, 1, 3) == lives(closed, SHORTCUT, 1, 3) == (not all(producers))
    assert_equal(graph, closed)
    small, _ = compact_graph(graph)
    assert small.shapes[TRUNK1][0] == (3 if all(producers) else 4)


def test_the_last_sum_and_the_linear_layer_take_part():
    graph = residual_net()
    blank(graph, FC, channels=4)
    closed, removals = remove_unused_paths(graph)
    assert {record.layer for record in removals.removed} == {CONV2B, SHORTCUT}
    small, plan = compact_graph(graph)
    assert small.shapes[TRUNK2][0] == 5 and plan[SHORTCUT]["rows"] == [0, 1, 2, 3, 5]
    assert account(small, graph) == account(closed, graph)


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_a_branch_without_weights_goes_whole(bias):
    graph = residual_net(bias)
    blank(graph, CONV2B)
    assert emptied_layers(graph) == []
    model = compact(Model(graph=graph, stage=Stage.ADMM))
    assert_equal(graph, model.graph)
    assert [node.name for node in model.graph.weighted] == [STEM, CONV1A, CONV1B, SHORTCUT, FC]
    assert TRUNK2 not in model.graph.by_name
    np.testing.assert_array_equal(model.graph.by_name[SHORTCUT].bias, 2 * bias)  # the branch's bias moved there
    assert model.meta["waterfall"][0]["layers"][CONV2A] == [0, 0]


def test_an_identity_block_without_weights_becomes_a_shift_or_nothing():
    graph = residual_net()
    blank(graph, CONV1B)
    small, _ = compact_graph(graph)
    assert TRUNK1 not in small.by_name and CONV1A not in small.by_name
    assert_equal(graph, small)
    graph.by_name[CONV1B].bias[:] = [0.5, 0, -1, 2]  # behind a ReLU there is no bias to move it into
    small, _ = compact_graph(graph)
    shift = small.by_name[TRUNK1]
    assert isinstance(shift, BatchNorm) and shift.bias.tolist() == [0.5, 0, -1, 2]
    assert_equal(graph, small)


def test_a_sum_that_is_an_output_keeps_its_name():
    b = DagBuilder((2, 5, 5), seed=1, keep=2.0)
    b.conv(3)
    b.relu()
    here = b.last
    for _ in range(2):
        b.last = here
        b.conv(3, 1)
    b.sum(here, "conv3", "conv4")
    graph = b.done()
    blank(graph, "conv3")
    graph.by_name["conv3"].bias[:] = 0
    assert compact_graph(graph)[0].by_name["add5"].inputs == ("relu2", "conv4")
    blank(graph, "conv4")
    small, _ = compact_graph(graph)
    assert small.outputs == ("add5",) and [node.name for node in small.weighted] == ["conv1"]
    assert_equal(graph, small)
    blank(graph, "conv1")
    with pytest.raises(ModelError, match="layer 'conv1' is pruned to nothing"):
        compact_graph(graph)


def test_three_summands_and_a_shift():
    b = DagBuilder((2, 5, 5), seed=1, keep=2.0)
    b.conv(3)
    b.relu()
    first = b.last
    b.relu()
    second = b.last
    b.conv(3, 1)
    b.sum(first, second, b.last)
    b.conv(2, 3)
    graph = b.done()
    blank(graph, "conv4")
    small, _ = compact_graph(graph)
    assert small.by_name["add5.varying"].inputs == ("relu2", "relu3")
    assert isinstance(small.by_name["add5"], BatchNorm)
    assert_equal(graph, small)


@pytest.mark.parametrize("case", ["output too", "twice", "two readers"])
def test_a_shift_goes_into_no_layer_that_is_seen_elsewhere(case):
    b = DagBuilder((2, 5, 5), seed=1, keep=2.0)
    b.conv(3)
    b.last = "x"
    b.conv(3)
    b.sum(*(["conv1", "conv2", "conv1"] if case == "twice" else ["conv1", "conv2"]))
    total = b.last
    b.last = "conv1"
    b.relu()
    outputs = {"output too": (total, "conv1"), "twice": (total,), "two readers": (total, b.last)}[case]
    graph = b.done(*outputs)
    if case != "two readers":
        graph = Graph(graph.nodes[:-1], outputs)
    blank(graph, "conv2")
    small, _ = compact_graph(graph)
    assert isinstance(small.by_name[total], BatchNorm) and "conv2" not in small.by_name
    np.testing.assert_array_equal(small.by_name["conv1"].bias, graph.by_name["conv1"].bias)
    assert_equal(graph, small)


def test_a_constant_output_channel_of_a_plain_average_is_no_refusal():
    b = DagBuilder((1, 6, 6), seed=2, keep=2.0)
    b.conv(3)
    b.mean()
    graph = b.done()
    graph.by_name["conv1"].weight[1] = 0
    assert remove_unused_paths(graph)[1].refused == ()
    assert compact_graph(graph)[0].shapes == graph.shapes


def test_constants_of_both_branches_add_up_and_fold():
    b = DagBuilder((1, 6, 6), seed=2, keep=2.0)
    b.conv(3)
    b.conv(3, 1)
    b.sum("conv1", "conv2")
    b.clamp(-1.0, 6.0)
    b.mean()
    b.conv(2, 2)
    graph = b.done()
    one, two, last = graph.weighted
    one.weight[1], one.bias[1] = 0, 2.0
    two.weight[1], two.bias[1] = 0, 7.0
    last.bias[:] = 0
    closed, removals = remove_unused_paths(graph)
    assert removals.refused == ()
    np.testing.assert_allclose(closed.by_name["conv6"].bias, 6.0 * last.weight[:, 1].sum(axis=(1, 2)))
    assert not lives(closed, "conv6", 1, 1) and not closed.by_name["conv1"].bias[1]
    assert_equal(graph, closed)
    assert compact_graph(graph)[0].shapes["add3"][0] == 2


@pytest.mark.parametrize(("low", "high", "value"), [(1.0, 2.0, 1.0), (None, -3.0, -3.0), (0.0, 6.0, 0.0)])
def test_clamp_maps_constants(low, high, value):
    b = DagBuilder((1, 6, 6), seed=2, keep=2.0)
    b.conv(2)
    b.clamp(low, high)
    b.conv(2)
    graph = b.done()
    graph.by_name["conv1"].weight[0], graph.by_name["conv1"].bias[0] = 0, -0.5
    closed, _ = remove_unused_paths(graph)
    last = graph.by_name["conv3"]
    np.testing.assert_allclose(closed.by_name["conv3"].bias, last.bias + value * last.weight[:, 0].sum(axis=(1, 2)))
    assert_equal(graph, closed)


def test_average_that_counts_padding_keeps_the_constant_or_refuses():
    for count in (False, True):
        b = DagBuilder((1, 6, 6), seed=2, keep=2.0)
        b.conv(3)
        source = b.last
        b.conv(2, 1)
        b.concat(b.last, source)
        b.channels(4, 0, 2, 1)
        b.mean(3, 1, 1, count=count)
        b.conv(2, 2)
        graph = b.done()
        graph.by_name[source].weight[2], graph.by_name[source].bias[2] = 0, 0.75
        graph.by_name["conv2"].weight[:, 2] = 0
        closed, removals = remove_unused_paths(graph)
        assert_equal(graph, closed)
        assert lives(closed, "conv6", 1, 0) == count
        assert [(r.layer, r.filter, r.value, r.reader) for r in removals.refused] == [(source, 2, 0.75, "mean5")][
            :count
        ]
    with pytest.raises(UnsupportedError, match="filter 2 of 'conv1' puts out .* constant 0.75, and 'mean5' pads"):
        remove_unused_paths(graph, inexact="refuse")
    graph.by_name[source].bias[2] = 0  # a map of zeros stays one
    assert not lives(remove_unused_paths(graph)[0], "conv6", 1, 0)


def test_concat_and_selection_relabel():
    b = DagBuilder((2, 5, 5), seed=3, keep=2.0)
    b.conv(3)
    b.last = "x"
    b.conv(2)
    b.concat("conv1", "conv2", "conv1")
    b.channels(7, 4, 3, 0)  # conv1:2, conv2:1, conv2:0, conv1:0
    b.conv(2, 1)
    graph = b.done()
    blank(graph, "conv5", channels=1)
    closed, _ = remove_unused_paths(graph)
    assert [lives(closed, "conv1", 0, m) for m in range(3)] == [True, False, True]
    assert [lives(closed, "conv2", 0, m) for m in range(2)] == [True, False]
    small, _ = compact_graph(graph)
    assert small.shapes["cat3"][0] == 5 and small.by_name["sel4"].indices == (4, 2, 0)
    blank(graph, "conv5", channels=2)
    small, _ = compact_graph(graph)
    assert "conv2" not in small.by_name and small.by_name["cat3"].inputs == ("conv1", "conv1")
    assert_equal(graph, small)


def test_groups_keep_as_many_filters_and_channels_as_the_fullest():
    b = DagBuilder((1, 5, 5), seed=3, keep=2.0)
    b.conv(6)
    b.conv(6, 3, groups=2)
    b.conv(2, 1)
    graph = b.done()
    blank(graph, "conv3", channels=[0, 3, 4])  # two left of the first group, one of the second
    blank(graph, "conv2", channels=[1, 2])
    small, plan = compact_graph(graph)
    assert plan["conv2"]["rows"] == [1, 2, 3, 5]
    assert plan["conv1"]["rows"] == [0, 3]
    assert small.by_name["conv2"].weight.shape == (4, 1, 3, 3) and small.by_name["conv2"].groups == 2
    assert_equal(graph, small)


def test_purification_may_take_a_branch_but_no_trunk():
    graph = residual_net(0.0)
    graph.by_name[CONV2B].weight[:] *= 1e-4
    model = Model(graph=graph, stage=Stage.ADMM)
    done = purify(model, PurifyConfig(mode="absolute", th4=1e-3))
    assert not done.graph.by_name[CONV2A].weight.any()
    assert CONV2A not in compact(done).graph.by_name
    graph.by_name[STEM].weight[:] *= 1e-4
    with pytest.raises(ModelError, match="layer 'conv1' would be emptied: Th4 = 0.001 removes its last weights"):
        purify(model, PurifyConfig(mode="absolute", th4=1e-3))


def test_statistics_behind_joined_vectors():
    b = DagBuilder((2, 4, 4), seed=3, keep=2.0)
    b.conv(3, 3)
    b.flatten()
    flat = b.last
    b.linear(12)
    b.sum(flat, b.last)
    b.linear(5)
    graph = b.done()
    assert (channel_pixels(graph, flat), channel_pixels(graph, "add4")) == (4, 1)
    assert [s.column_sq.shape for s in layer_statistics(graph)] == [(2, 9), (3, 4), (12, 1)]
    joined = Concat(name="cat", inputs=(flat, flat))
    assert channel_pixels(Graph((*graph.nodes, joined), ("cat",)), "cat") == 4
    image = Flatten(name="image", inputs=("x",))  # 16 pixels a channel
    mixed = Concat(name="cat", inputs=(flat, "image"))
    assert channel_pixels(Graph((*graph.nodes, image, mixed), ("cat",)), "cat") == 1
    assert [s.makes_output for s in layer_statistics(residual_net())] == [False] * 6 + [True]


def test_float32_networks_stay_float32():
    graph = residual_net(0.5)
    graph = graph.replace(
        *(replace(x, weight=x.weight.astype(np.float32), bias=x.bias.astype(np.float32)) for x in graph.weighted)
    )
    blank(graph, CONV1B)
    small, _ = compact_graph(graph)
    shift = small.by_name[TRUNK1]
    assert isinstance(shift, BatchNorm) and not isinstance(shift, Add)
    assert {x.weight.dtype for x in (*small.weighted, shift)} == {np.dtype(np.float32)}
    assert_equal(graph, small, 1e-6)
