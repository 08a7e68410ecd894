"""Path removal and compaction of sums, concatenations, selections, depthwise layers and pools against brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given

from hwprm.core.errors import ModelError
from hwprm.graph import Conv2d, evaluate
from hwprm.pruning.accounting import account
from hwprm.pruning.compaction.compaction import compact_graph
from hwprm.pruning.paths.paths import remove_unused_paths
from tests.support.rounds import examples
from tests.unit.pruning.random_dags import channel_groups, dags, images, opened_dag, positive_images, without


def assert_equal_outputs(before, after):
    x = images(before)
    first, second = evaluate(before, x), evaluate(after, x)
    size = max(1.0, *(float(np.abs(value).max()) for value in first.values()))
    for name in before.outputs:
        np.testing.assert_allclose(second[name], first[name], rtol=0, atol=1e-12 * size)


def compacted(graph):
    """The compact graph and its plan; None when the error says that an output is constant, and it is."""
    try:
        return compact_graph(graph)
    except ModelError as error:
        assert "is pruned to nothing: no weight is left in it" in str(error)
        a, b = evaluate(graph, images(graph, seed=1)), evaluate(graph, images(graph, seed=2))
        assert any(np.allclose(a[name], b[name], rtol=1e-9, atol=1e-12) for name in graph.outputs)
        return None


@examples(150)
@given(dags())
def test_path_removal_is_exact_and_a_fixed_point(graph):
    closed, removals = remove_unused_paths(graph)
    assert_equal_outputs(graph, closed)
    assert closed.shapes == graph.shapes
    zeroed = sum(int((old.weight != 0).sum() - (closed.by_name[old.name].weight != 0).sum()) for old in graph.weighted)
    assert sum(record.weights for record in removals.removed) == zeroed
    again, second = remove_unused_paths(closed)
    assert second.removed == ()
    assert second.refused == removals.refused


@examples(150)
@given(dags().filter(compacted))
def test_compaction_is_equal_and_counts_the_same(graph):
    small, plan = compacted(graph)
    assert_equal_outputs(graph, small)
    assert [(node.name, node.shape) for node in small.inputs] == [(node.name, node.shape) for node in graph.inputs]
    closed, _ = remove_unused_paths(graph)
    wide, narrow = account(closed, graph), account(small, graph)
    gone = {layer.name for layer in graph.weighted} - set(plan)
    assert [(x.name, x.rows, x.cols) for x in wide.layers if x.name not in gone and not _grouped(graph, x.name)] == [
        (x.name, x.rows, x.cols) for x in narrow.layers if x.name not in gone and not _grouped(graph, x.name)
    ]
    for layer in small.weighted:
        rows = plan[layer.name]["rows"]
        assert len(rows) == len(layer.bias)
        old = closed.by_name[layer.name].weight
        assert np.count_nonzero(old) == np.count_nonzero(old[rows]) == np.count_nonzero(layer.weight)
    assert all(not closed.by_name[name].weight.any() for name in gone)


def _grouped(graph, name):
    node = graph.by_name[name]
    return isinstance(node, Conv2d) and node.groups > 1


@examples(100)
@given(dags(padded=False, shuffled=False))
def test_every_weight_left_matters(graph):
    """Brute force on the masked network: no filter, and no input channel of a layer, can go unnoticed.

    Not behind a pixel shuffle, of whose squares a strided reader may see less than all channels.
    """
    closed, _ = remove_unused_paths(graph)
    closed = opened_dag(closed)
    x = positive_images(closed)
    expected = evaluate(closed, x)
    for layer in closed.weighted:
        for axis in (0, 1):
            for index in np.flatnonzero(layer.weight.any(axis=tuple(i for i in range(layer.weight.ndim) if i != axis))):
                weight = layer.weight.copy()
                weight[(slice(None),) * axis + (index,)] = 0
                got = evaluate(closed.replace(replace(layer, weight=weight)), x)
                assert any((got[name] != expected[name]).any() for name in closed.outputs), (layer.name, axis, index)


@examples(100)
@given(dags(padded=False, grouped=False, shuffled=False).filter(compacted))
def test_no_channel_group_of_the_compact_network_can_go(graph):
    """Brute force on the compact network: each group of channels that only go together changes an output if it goes.

    Not with padding, where a strided reader may see nothing but the border of a map, nor with groups of several
    filters, which keep as many as the fullest. A layer without weights whose constant is needed reads one channel.
    """
    small = opened_dag(compacted(graph)[0])
    x = positive_images(small)
    expected = evaluate(small, x)
    read_by_blank = {layer.inputs[0] for layer in small.weighted if not layer.weight.any()}
    for group in channel_groups(small):
        if not read_by_blank.isdisjoint(name for name, _ in group):
            continue
        got = evaluate(without(small, group), x)
        assert any((got[name] != expected[name]).any() for name in small.outputs), group
