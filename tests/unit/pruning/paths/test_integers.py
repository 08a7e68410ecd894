"""Removal and quantisation commute: masked or compact, the same integers come out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from hwprm.compiler.passes.unneeded import remove_unneeded
from hwprm.core.errors import ModelError, UnsupportedError
from hwprm.intnet.reference import run
from hwprm.pruning.compaction.compaction import compact_graph
from hwprm.pruning.paths.paths import remove_unused_paths
from hwprm.quantization import quantize_images, quantize_network
from tests.support.rounds import examples
from tests.unit.pruning.lenet import after_admm
from tests.unit.pruning.random_dags import dags
from tests.unit.pruning.random_graphs import graphs, with_dtype


def test_masked_and_compact_networks_quantise_to_the_same_integers():
    closed, _ = remove_unused_paths(after_admm(8, 30, dtype=np.float32))
    small, _ = compact_graph(closed)
    images = np.random.default_rng(0).integers(0, 256, (8, 1, 28, 28)).astype(np.uint8)
    masked_net = quantize_network(closed, images, 1 / 255)
    small_net = quantize_network(small, images, 1 / 255)
    masked, compacted = (run(net, quantize_images(images, 1 / 255, net)) for net in (masked_net, small_net))
    np.testing.assert_array_equal(masked[masked_net.outputs[0]], compacted[small_net.outputs[0]])
    assert [t.shape for t in remove_unneeded(masked_net).network.tensors] == [t.shape for t in small_net.tensors]


def test_integer_compaction_of_a_network_with_dead_paths_and_constants():
    graph = after_admm(8, 30, dtype=np.float32)  # 18 filters of conv1 unread, 42 of conv2 constant
    images = np.random.default_rng(1).integers(0, 256, (8, 1, 28, 28)).astype(np.uint8)
    net = quantize_network(graph, images, 1 / 255)
    done = remove_unneeded(net)
    before = run(net, quantize_images(images, 1 / 255, net))
    after = run(done.network, quantize_images(images, 1 / 255, done.network))
    for name, value in after.items():
        np.testing.assert_array_equal(value, before[name][:, list(done.kept[name])])
    assert [layer.terms[0].weight.shape[:2] for layer in done.network.layers] == [(2, 1), (8, 2), (500, 8), (10, 500)]


def assert_same_integers(graph, images, scale):
    """Every tensor of the integer network is the same before and after unused paths are removed."""
    closed, _ = remove_unused_paths(graph)
    nets = [quantize_network(g, images, scale) for g in (graph, closed)]
    first, second = (run(net, quantize_images(images, scale, net)) for net in nets)
    assert nets[0].tensors == nets[1].tensors
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


@examples(12)
@given(graphs())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_path_removal_changes_no_integer(dtype, graph):
    assert_same_integers(with_dtype(graph, dtype), np.random.default_rng(0).normal(size=(6, *graph.input.shape)), 1.0)


def _images(graph):
    return {node.name: np.random.default_rng(0).normal(size=(6, *node.shape)) for node in graph.inputs}


def _quantises(graph):
    """No output is read inside too, and no window sees nothing but padding."""
    try:
        return bool(quantize_network(graph, _images(graph), 1.0))
    except (UnsupportedError, ModelError):
        return False


def _compacts(graph):
    """`_quantises`, and every output depends on the input."""
    try:
        return bool(remove_unneeded(quantize_network(graph, _images(graph), 1.0)))
    except (UnsupportedError, ModelError):
        return False


@examples(25)
@given(dags().filter(_quantises))
def test_path_removal_of_joined_inputs_changes_no_integer(graph):
    assert_same_integers(graph, _images(graph), 1.0)


@examples(20)
@given(dags().filter(_compacts))
def test_compaction_of_joined_inputs_changes_no_integer(graph):
    x = _images(graph)
    net = quantize_network(graph, x, 1.0)
    small = remove_unneeded(net).network
    assert small.input_shapes == net.input_shapes
    images = quantize_images(x, 1.0, net)
    before, after = run(net, images), run(small, images)
    for name in net.outputs:
        np.testing.assert_array_equal(after[name], before[name])


def test_a_loud_filter_that_nobody_reads_changes_no_scale():
    graph = after_admm(8, 30, dtype=np.float32)
    weight = graph.by_name["conv1"].weight
    weight[0] *= 100  # unread
    images = np.random.default_rng(2).integers(0, 256, (8, 1, 28, 28)).astype(np.uint8)
    assert_same_integers(graph, images, 1 / 255)
