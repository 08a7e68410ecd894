"""Channels that only go together: a group can be removed by its filters or by the columns that read it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwprm.frontend import to_graph
from hwprm.graph import BatchNorm, Conv2d, Graph, Linear, evaluate
from hwprm.nets import lenet5_graph
from hwprm.pruning.channels.groups import ChannelGroups, channel_groups
from tests.support.zoo import ZOO, zoo_module


def _graph(name: str) -> Graph:
    """The network with batch norms that shift nothing: a removed channel is then zero, not a constant."""
    if name == "lenet5":
        return lenet5_graph(0)
    graph = to_graph(zoo_module(name), ZOO[name][1])
    norms = [
        replace(node, bias=np.zeros_like(node.bias), mean=np.zeros_like(node.mean))
        for node in graph.nodes
        if isinstance(node, BatchNorm)
    ]
    layers = [replace(node, bias=np.zeros_like(node.bias)) for node in graph.weighted]
    return graph.replace(*norms, *layers)


def _without_rows(groups: ChannelGroups, gone: int) -> Graph:
    changed = []
    for layer in groups.graph.weighted:
        keep = (groups.rows[layer.name] != gone).astype(layer.weight.dtype)
        shape = (-1,) + (1,) * (layer.weight.ndim - 1)
        changed.append(replace(layer, weight=layer.weight * keep.reshape(shape), bias=layer.bias * keep))
    return groups.graph.replace(*changed)


def _without_columns(groups: ChannelGroups, gone: int) -> Graph:
    changed: list[Conv2d | Linear] = []
    for layer in groups.graph.weighted:
        if layer.name in groups.cols:
            keep = (groups.cols[layer.name] != gone).astype(layer.weight.dtype)
            matrix = layer.weight.reshape(len(layer.bias), -1) * keep
            changed.append(replace(layer, weight=matrix.reshape(layer.weight.shape)))
    return groups.graph.replace(*changed)


@pytest.mark.parametrize("name", ["lenet5", *sorted(ZOO)])
def test_rows_and_columns_of_a_group_are_the_same_channel(name):
    graph = _graph(name)
    groups = channel_groups(graph)
    rng = np.random.default_rng(0)
    images = {node.name: rng.normal(size=(2, *node.shape)) for node in graph.inputs}
    before = evaluate(graph, images)
    moved = 0
    free = np.flatnonzero(~groups.fixed)
    for gone in free[:: max(1, len(free) // 12)]:
        rows, columns = (evaluate(one, images) for one in (_without_rows(groups, gone), _without_columns(groups, gone)))
        for output in graph.outputs:
            np.testing.assert_allclose(rows[output], columns[output], rtol=1e-9, atol=1e-9)
            moved += not np.allclose(rows[output], before[output])
    assert moved or not len(free), "removing channels changes outputs, else this proves nothing"


def test_lenet_has_a_group_for_each_filter_and_neuron():
    groups = channel_groups(lenet5_graph(0))
    assert groups.count == 1 + 20 + 50 + 500 + 10
    assert np.flatnonzero(groups.fixed).tolist() == [0, *range(571, 581)]
    assert np.array_equal(groups.cols["fc1"], np.repeat(np.arange(21, 71), 16))
    assert np.array_equal(groups.rows["conv2"], np.arange(21, 71))


def test_a_residual_trunk_is_one_set_of_channels():
    graph = to_graph(zoo_module("resnet"), ZOO["resnet"][1])
    groups = channel_groups(graph)
    for node in graph.nodes:
        if type(node).__name__ == "Add":
            first, *others = (groups.of[name] for name in node.inputs)
            for one in others:
                assert np.array_equal(first, one)
