"""The mean of several networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hwprm
from hwprm.config import TrainConfig
from hwprm.core.errors import ModelError
from hwprm.frontend import to_graph
from hwprm.graph import Input, ensemble
from hwprm.nets import GraphModule, reference_network
from tests.unit.training.synthetic import blobs, tiny_graph


def test_its_scores_are_the_mean_and_the_members_stay_as_they_are():
    graphs = [
        to_graph(reference_network(name, seed, width=1 / 8).eval(), (3, 32, 32))
        for seed, name in enumerate(("fast8-cifar", "resnet18-cifar", "fast8-cifar"))
    ]
    joined = ensemble(graphs)
    assert len([node for node in joined.nodes if isinstance(node, Input)]) == 1
    assert len(joined.weighted) == sum(len(graph.weighted) for graph in graphs)
    images = torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        each = [GraphModule(graph).eval()(images) for graph in graphs]
        got = GraphModule(joined).eval()(images)
    torch.testing.assert_close(got, sum(each) / 3, rtol=1e-5, atol=1e-5)


def test_it_is_a_model_that_can_teach_and_be_saved(tmp_path):
    config = TrainConfig(epochs=6, batch=30, lr=5e-3)
    members = [hwprm.train(tiny_graph(seed=seed), blobs(), config) for seed in (1, 2)]
    made = hwprm.ensemble(members, blobs())
    assert made.meta["name"] == "network + network" and made.meta["accuracy"]["dense"] > 60
    made.save(tmp_path / "wise")
    taught = hwprm.train(tiny_graph(seed=3), blobs(), config, teacher=tmp_path / "wise")
    assert taught.meta["teacher"]["sha256"] == made.graph.weights_digest
    np.testing.assert_array_equal(
        hwprm.ensemble(members, blobs()).graph.weighted[0].weight, made.graph.weighted[0].weight
    )


def test_what_does_not_fit_together():
    with pytest.raises(ModelError, match="of two networks or more, not of 1"):
        ensemble([tiny_graph()])
    other = to_graph(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4)).eval(), (1, 8, 8))
    with pytest.raises(ModelError, match=r"scores of one shape, not .*\(3,\).* and .*\(4,\)"):
        ensemble([tiny_graph(), other])
