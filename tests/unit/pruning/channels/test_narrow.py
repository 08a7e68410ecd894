"""A narrowed network is the network whose other columns are zero; blocks say all that shapes can depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwprm.core.errors import ConfigError
from hwprm.frontend import to_graph
from hwprm.graph import Graph, evaluate
from hwprm.nets import lenet5_graph
from hwprm.pruning.channels.blocks import Blocks, channel_blocks, count_macs, count_weights, narrow
from hwprm.pruning.channels.groups import channel_groups
from tests.support.zoo import ZOO, zoo_images, zoo_module


def _blocks(name: str) -> Blocks:
    graph = lenet5_graph(0) if name == "lenet5" else to_graph(zoo_module(name), ZOO[name][1])
    return channel_blocks(channel_groups(graph))


def _zeroed(blocks: Blocks, keep: np.ndarray) -> Graph:
    """The graph with zeros instead of the columns that read a group outside `keep`."""
    changed = []
    for layer in blocks.groups.graph.weighted:
        if layer.name in blocks.groups.cols:
            mask = keep[blocks.groups.cols[layer.name]].astype(layer.weight.dtype)
            matrix = layer.weight.reshape(len(layer.bias), -1) * mask
            changed.append(replace(layer, weight=matrix.reshape(layer.weight.shape)))
    return blocks.groups.graph.replace(*changed)


@pytest.mark.parametrize("name", sorted(ZOO))
def test_narrowed_network_computes_what_zero_columns_do(name):
    blocks = _blocks(name)
    rng = np.random.default_rng(0)
    images = zoo_images(name, 2)
    for _ in range(3):
        keep = blocks.first(rng.permutation(blocks.free), rng.integers(1, blocks.sizes + 1))
        small, masked = narrow(blocks.groups, keep), _zeroed(blocks, keep)
        before, after = evaluate(masked, images), evaluate(small, images)
        for output in small.outputs:
            np.testing.assert_allclose(after[output], before[output], rtol=1e-9, atol=1e-9)
    least = narrow(blocks.groups, blocks.first(blocks.free, np.ones_like(blocks.sizes)))
    assert (
        sum(count_weights(least).values()) < sum(count_weights(blocks.groups.graph).values())
        or blocks.sizes.max(initial=1) == 1
    )


@pytest.mark.parametrize("name", ["resnet", "mobilenet", "shufflenet", "inception", "densenet", "fusion"])
def test_costs_depend_on_the_counts_of_blocks_only(name):
    blocks = _blocks(name)
    rng = np.random.default_rng(1)
    counts = rng.integers(1, blocks.sizes + 1)
    graphs = [narrow(blocks.groups, blocks.first(rng.permutation(blocks.free), counts)) for _ in range(3)]
    for count in (count_macs, count_weights):
        assert all(count(graph) == count(graphs[0]) for graph in graphs)


def test_channels_of_a_trunk_are_one_block():
    blocks = _blocks("resnet")
    graph, makers = blocks.groups.graph, [blocks.layers(i) for i in range(len(blocks.sizes))]
    assert [len(names) for names in makers] == [2, 1, 1, 2], makers
    keep = blocks.first(blocks.free, np.array([2, 3, 5, 1]))
    small = {node.name: len(node.bias) for node in narrow(blocks.groups, keep).weighted}
    for names, width in zip(makers, (2, 3, 5, 1), strict=True):
        assert {small[name] for name in names} == {width}
    assert small[graph.weighted[-1].name] == 3


def test_depthwise_filters_go_with_their_channels():
    blocks = _blocks("mobilenet")
    depthwise = next(node for node in blocks.groups.graph.weighted if getattr(node, "groups", 1) > 1)
    block = next(i for i in range(len(blocks.sizes)) if depthwise.name in blocks.layers(i))
    counts = blocks.sizes.copy()
    counts[block] = 3
    small = narrow(blocks.groups, blocks.first(blocks.free, counts))
    node = small.by_name[depthwise.name]
    assert (node.groups, node.weight.shape[:2]) == (3, (3, 1))


def test_counts_of_lenet():
    graph = lenet5_graph(0)
    assert sum(count_macs(graph).values()) == 2_293_000
    assert sum(count_weights(graph).values()) == 430_500


def test_rounding_keeps_one_multiple_and_never_more_than_there_is():
    blocks = _blocks("lenet5")
    assert blocks.rounded(np.array([0, 12, 499]), 8).tolist() == [8, 16, 496]
    assert blocks.rounded(np.array([20, 3, 500]), 64).tolist() == [20, 50, 500]


def test_a_tensor_without_channels_is_refused():
    blocks = _blocks("lenet5")
    with pytest.raises(ConfigError, match="no channel of 'conv1' would be left"):
        narrow(blocks.groups, blocks.first(blocks.free, np.array([0, 1, 1])))
