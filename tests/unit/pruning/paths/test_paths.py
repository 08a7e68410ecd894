"""Unused-path removal is exact, complete, and says what it cannot do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from hwprm.core.errors import ConfigError, UnsupportedError
from hwprm.graph import Conv2d, Linear, evaluate
from hwprm.graph.liveness import needed_channels
from hwprm.pruning.paths.paths import remove_unused_paths
from hwprm.pruning.paths.removals import Kind, Rule
from tests.support.rounds import examples
from tests.unit.pruning.random_graphs import Builder, graphs, opened, with_dtype


def images(graph, n=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, *graph.input.shape))


def assert_equal_outputs(a, b, tolerance=1e-12):
    x = images(a)
    first, second = evaluate(a, x), evaluate(b, x)
    for name in a.outputs:
        size = max(1.0, float(np.abs(first[name]).max(initial=0)))
        np.testing.assert_allclose(second[name], first[name], rtol=0, atol=tolerance * size)


@examples(200)
@given(graphs())
def test_outputs_do_not_change(graph):
    closed, removals = remove_unused_paths(graph)
    assert_equal_outputs(graph, closed)
    assert closed.shapes == graph.shapes
    for record in removals.removed:
        assert record.rule is Rule.PATH
        new = closed.by_name[record.layer]
        if record.kind is Kind.FILTERS:
            assert not new.weight[list(record.indices)].any()
            assert not new.bias[list(record.indices)].any()
        else:
            assert not new.weight[:, list(record.indices)].any()
    zeroed = sum(int((old.weight != 0).sum() - (closed.by_name[old.name].weight != 0).sum()) for old in graph.weighted)
    assert sum(record.weights for record in removals.removed) == zeroed


@examples(60)
@given(graphs())
def test_a_second_run_finds_nothing(graph):
    closed, first = remove_unused_paths(graph)
    again, second = remove_unused_paths(closed)
    assert second.removed == ()
    assert [r.layer for r in second.refused] == [r.layer for r in first.refused]
    for node in closed.weighted:
        np.testing.assert_array_equal(node.weight, again.by_name[node.name].weight)


@examples(60)
@given(graphs(padded=False))
def test_brute_force_finds_nothing_that_could_still_go(graph):
    """Without padding nothing is refused, and every filter and input column left changes an output when it goes."""
    closed, removals = remove_unused_paths(graph)
    assert removals.refused == ()
    closed = opened(closed)
    x = np.abs(images(closed, n=1)) + 0.1
    expected = evaluate(closed, x)
    for layer in closed.weighted:
        filters = np.flatnonzero(layer.weight.reshape(len(layer.bias), -1).any(axis=1))
        for m, c in [*((m, None) for m in filters), *((None, c) for c in range(layer.weight.shape[1]))]:
            weight = layer.weight.copy()
            weight[slice(None) if m is None else m, slice(None) if c is None else c] = 0
            if not (weight != layer.weight).any():
                continue
            got = evaluate(closed.replace(replace(layer, weight=weight)), x)
            assert any((got[name] != expected[name]).any() for name in closed.outputs), (layer.name, m, c)


@examples(60)
@given(graphs())
def test_a_blank_filter_stays_only_with_a_refusal(graph):
    closed, removals = remove_unused_paths(graph)
    refused = {(r.layer, r.filter) for r in removals.refused}
    need = needed_channels(closed)
    for layer in closed.weighted:
        for m in range(len(layer.bias)):
            if not need[layer.name][m]:
                assert not layer.weight[m].any() and layer.bias[m] == 0
            elif not layer.weight[m].any() and not {layer.name} & set(closed.outputs):
                assert (layer.name, m) in refused or _reaches_output(closed, layer.name)


def _reaches_output(graph, name):
    """Is an output made from `name` without another weighted layer between?"""
    if name in graph.outputs:
        return True
    return any(_reaches_output(graph, r.name) for r in graph.consumers(name) if not isinstance(r, Conv2d | Linear))


def lenet_like(bias, padding):
    b = Builder((1, 12, 12), seed=1, keep=2.0)
    b.conv(4, 3)
    b.norm()
    b.relu()
    b.pool()
    b.conv(5, 3, padding)
    b.relu()
    b.flatten()
    b.linear(6)
    b.relu()
    b.linear(3)
    graph = b.done()
    first = graph.weighted[0]
    first.weight[2] = 0
    first.bias[2] = bias
    norm = graph.by_name["bn2"]
    norm.weight[:], norm.mean[:], norm.bias[:] = 1, 0, 0
    return graph


@pytest.mark.parametrize(
    ("bias", "padding", "kept"),
    [(3.0, 0, 0), (-3.0, 0, 0), (0.0, 1, 0), (-3.0, 1, 0), (3.0, 1, 1)],
    ids=["folded", "relu", "padded-zero", "padded-relu", "padded-constant"],
)
def test_blank_filter_through_norm_relu_and_pool(bias, padding, kept):
    graph = lenet_like(bias, padding)
    closed, removals = remove_unused_paths(graph)
    assert_equal_outputs(graph, closed)
    first, second = closed.weighted[:2]
    assert len(removals.refused) == kept
    assert bool(second.weight[:, 2].any()) == bool(kept)
    assert (first.bias[2] != 0) == bool(kept)


def test_dropping_the_constant_instead_of_folding_is_wrong():
    """The naive reading of the paper: blank means zero. This is what the folding is for."""
    graph = lenet_like(3.0, 0)
    naive = remove_unused_paths(lenet_like(-3.0, 0))[0]
    x = images(graph)
    assert np.abs(evaluate(graph, x)["fc10"] - evaluate(naive, x)["fc10"]).max() > 1e-2


def test_the_folded_bias_is_constant_times_weights():
    graph = lenet_like(3.0, 0)
    constant = 3.0 / np.sqrt(graph.by_name["bn2"].var[2] + 1e-5)
    old, new = graph.weighted[1], remove_unused_paths(graph)[0].weighted[1]
    np.testing.assert_allclose(new.bias, old.bias + constant * old.weight[:, 2].sum(axis=(1, 2)), rtol=1e-14)


def test_flatten_ties_a_channel_to_its_pixels_both_ways():
    graph = lenet_like(-1.0, 0)
    conv, fc = graph.weighted[1:3]
    pixels = 9
    conv.weight[1], conv.bias[1] = 0, 0.5  # blank, constant 0.5: fc loses columns 9..17
    fc.weight[:, 4 * pixels : 5 * pixels] = 0  # nobody reads filter 4
    closed, removals = remove_unused_paths(graph)
    assert_equal_outputs(graph, closed)
    new_conv, new_fc = closed.weighted[1:3]
    assert not new_fc.weight[:, pixels : 2 * pixels].any()
    np.testing.assert_allclose(new_fc.bias, fc.bias + 0.5 * fc.weight[:, 9:18].sum(axis=1), rtol=1e-14)
    assert not new_conv.weight[4].any()
    found = {(r.layer, r.kind): r for r in removals.removed}
    assert found["conv5", Kind.FILTERS].indices == (1, 4)
    assert found["fc8", Kind.COLUMNS].indices == tuple(range(9, 18))


def test_closure_runs_through_the_whole_net_backwards():
    graph = lenet_like(-1.0, 0)
    graph.weighted[3].weight[:, 1:] = 0  # the last layer reads one neuron,
    graph.weighted[2].weight[0, 9:] = 0  # which reads one conv5 filter,
    graph.weighted[1].weight[0, 1:] = 0  # which reads one conv1 filter
    closed, _ = remove_unused_paths(graph)
    assert [int(layer.weight.reshape(len(layer.bias), -1).any(axis=1).sum()) for layer in closed.weighted] == [
        1,
        1,
        1,
        3,
    ]
    assert_equal_outputs(graph, closed)


def test_channel_stays_while_one_of_two_readers_uses_it():
    b = Builder((2, 6, 6), seed=2, keep=2.0)
    b.conv(3)
    stem = b.last
    b.conv(2)
    left = b.last
    b.last = stem
    b.conv(2)
    graph = b.done(left, b.last)
    graph.weighted[1].weight[:, 1] = 0
    assert remove_unused_paths(graph)[1].removed == ()
    graph.weighted[2].weight[:, 1] = 0
    (record,) = remove_unused_paths(graph)[1].removed
    assert (record.layer, record.kind, record.indices, record.weights) == (stem, Kind.FILTERS, (1,), 18)


def test_refusal_says_where_and_why():
    graph = lenet_like(3.0, 1)
    (refusal,) = remove_unused_paths(graph)[1].refused
    assert (refusal.layer, refusal.filter, refusal.reader) == ("conv1", 2, "conv5")
    text = r"filter 2 of 'conv1' puts out nothing but the constant .* 'conv5' pads that map with zeros, .* retrain"
    with pytest.raises(UnsupportedError, match=text):
        remove_unused_paths(graph, inexact="refuse")
    with pytest.raises(ConfigError, match=r"purify\.inexact must be 'keep' or 'refuse', not 'drop'"):
        remove_unused_paths(graph, inexact="drop")


def test_float32_bias_is_rounded_once():
    graph = with_dtype(lenet_like(3.0, 0), np.float32)
    closed, _ = remove_unused_paths(graph)
    assert all(layer.bias.dtype == layer.weight.dtype == np.float32 for layer in closed.weighted)
    exact = remove_unused_paths(with_dtype(graph, np.float64))[0].weighted[1].bias
    np.testing.assert_array_equal(closed.weighted[1].bias, exact.astype(np.float32))
    assert_equal_outputs(graph, closed, tolerance=1e-6)
