"""ADMM on networks with sums, concatenations, selections and depthwise layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwprm.config.admm import AdmmConfig, LayerBudget
from hwprm.config.train import TrainConfig
from hwprm.graph import evaluate
from hwprm.nets import GraphModule
from hwprm.pruning.admm.admm import admm
from hwprm.pruning.admm.budgets import layer_matrices, resolve_budgets
from hwprm.pruning.admm.projections import Limits, Support
from hwprm.pruning.admm.supports import choose_supports, hard_prune
from hwprm.pruning.compaction.compaction import compact
from hwprm.training import Context, train
from hwprm.training.masks import ZeroMasks
from tests.unit.pruning.random_dags import DagBuilder
from tests.unit.pruning.random_graphs import with_dtype
from tests.unit.training.synthetic import blobs


def joined_net(seed=1):
    """Stem; pre-activated residual branch; depthwise; concat and shuffle; mean; flatten; linear."""
    b = DagBuilder((1, 8, 8), seed=seed, keep=2.0)
    b.conv(6, 3, 1)  # conv1
    b.norm()
    b.conv(6, 3, 1)  # conv3
    b.sum(b.last, "bn2")
    b.norm()  # bn5, behind the sum
    b.clamp(0.0, 6.0)
    b.conv(6, 3, 1, groups=6)  # conv7
    b.conv(4, 1)  # conv8
    b.concat(b.last, "clamp6")
    b.norm()  # bn10, behind the concatenation
    b.channels(0, 5, 1, 6, 2, 7, 3, 8, 4, 9)
    b.mean()
    b.flatten()
    b.norm()  # bn14, behind the flatten
    b.linear(3)
    graph = with_dtype(b.done(), np.float32)
    for node in graph.nodes:
        if node.name.startswith("bn"):
            node.weight[:] = np.abs(node.weight) + 0.5
    return graph


def matrices(graph):
    return {x.name: x.weight.reshape(len(x.bias), -1).copy() for x in graph.weighted}


def test_matrices_and_default_budgets():
    graph = joined_net()
    assert {x.name: (x.rows, x.cols, x.group, x.last) for x in layer_matrices(graph).values()} == {
        "conv1": (6, 9, 9, False),
        "conv3": (6, 54, 9, False),
        "conv7": (6, 9, 9, False),
        "conv8": (4, 6, 1, False),
        "fc15": (3, 160, 16, True),
    }
    assert set(resolve_budgets(graph, AdmmConfig(compression=4.0))) == set(matrices(graph))


def test_rows_of_joined_layers_stay_unless_every_reader_agrees():
    graph = joined_net()
    weights = matrices(graph)
    for name in ("conv1", "conv3"):
        weights[name][2] *= 1e-3  # the filter that would go first
        weights[name][4] *= 10
    limits = {name: Limits(rows=5) for name in ("conv1", "conv3")}

    def gone(**kwargs):
        chosen = choose_supports(graph, weights, limits, **kwargs)
        return [np.flatnonzero(~chosen[name].rows).tolist() for name in limits]

    assert gone(path_aware=True) == [[2], [2]]
    weights["conv7"][4] = 0  # the depthwise filter ignores channel 4 of the sum,
    assert gone(path_aware=True) == [[2], [2]]
    place = graph.by_name["sel11"].indices.index(4 + 4)
    weights["fc15"].reshape(3, 10, 16)[:, place] = 0  # and so does the linear layer, behind everything:
    assert gone(path_aware=True) == [[2], [4]]  # nobody is left for conv3; conv3 itself still reads conv1
    weights["conv3"].reshape(6, 6, 9)[:, 4] = 0
    assert gone(path_aware=True) == [[4], [4]]
    assert gone(path_aware=False) == [[2], [2]]


def test_a_scale_of_zero_at_the_start_is_no_reason_to_prune():
    graph = joined_net()
    graph.by_name["bn5"].weight[:] = 0
    weights = matrices(graph)
    chosen = choose_supports(graph, weights, {"conv3": Limits(rows=6)}, True)
    assert chosen["conv3"].rows.all()
    weights["conv3"][1] *= 100
    assert choose_supports(graph, weights, {"conv3": Limits(rows=1)}, True)["conv3"].rows.tolist()[1]


def rows_gone(graph, layer, *rows):
    weight = graph.by_name[layer].weight
    kept = np.ones(len(weight), dtype=bool)
    kept[list(rows)] = False
    return Support.rectangle(kept, np.ones(weight[0].size, dtype=bool))


@pytest.mark.parametrize("both", [False, True])
def test_batch_norms_behind_joins(both):
    graph = joined_net()
    module = GraphModule(graph)
    supports = {"conv1": rows_gone(graph, "conv1", 2), "conv8": rows_gone(graph, "conv8", 1)}
    if both:
        supports["conv3"] = rows_gone(graph, "conv3", 2, 3)
    hard_prune(module, supports)
    pruned = module.to_graph()
    silent = {x.name: np.flatnonzero((x.weight == 0) & (x.bias == 0)).tolist() for x in pruned.nodes if "bn" in x.name}
    pixels = [place * 16 + i for place in ([2, 3] if both else [2]) for i in range(16)]
    assert silent == {
        "bn2": [2],
        "bn5": [2] if both else [],  # behind the sum: only where both summands are gone
        "bn10": [1, 6] if both else [1],
        "bn14": pixels,
    }
    x = np.random.default_rng(0).normal(size=(2, 1, 8, 8))
    values = evaluate(pruned, x)
    for name, channels in silent.items():
        assert not values[name][:, channels].any()
    masks = ZeroMasks.of(module).masks
    assert torch.nonzero(masks["conv1.bias"]).flatten().tolist() == [2]
    assert torch.nonzero(masks["bn10.weight"]).flatten().tolist() == silent["bn10"]


@pytest.mark.parametrize("path_aware", [True, False])
def test_admm_and_compaction_of_a_joined_network(path_aware):
    base = TrainConfig(epochs=1, batch=20, lr=5e-3)
    dense = train(joined_net(), blobs(), Context(config=base))
    budgets = {
        "conv1": LayerBudget(filters=4),
        "conv3": LayerBudget(filters=3, columns=20, channels=4),
        "conv7": LayerBudget(filters=4, columns=5),
        "conv8": LayerBudget(filters=2, columns=4),
        "fc15": LayerBudget(columns=64, channels=6),
    }
    config = AdmmConfig(
        budgets=budgets, mode="joint", stages=1, epochs=1, retrain_epochs=0, final_epochs=1, path_aware=path_aware
    )
    pruned = admm(dense, blobs(), config, Context(config=base))
    for layer in pruned.graph.weighted:
        rows = layer.weight.reshape(len(layer.bias), -1).any(axis=1)
        assert rows.sum() <= (budgets[layer.name].filters or len(rows))
    small = compact(pruned).graph
    x = np.random.default_rng(0).normal(size=(2, 1, 8, 8))
    name = small.outputs[0]
    np.testing.assert_allclose(evaluate(small, x)[name], evaluate(pruned.graph, x)[name], rtol=1e-4, atol=1e-4)
    assert sum(x.weight.size for x in small.weighted) < sum(x.weight.size for x in pruned.graph.weighted)
