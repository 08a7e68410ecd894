"""A first convolution that begins with whitening filters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hwprm.config import TrainConfig
from hwprm.core.errors import ConfigError
from hwprm.data import Dataset
from hwprm.frontend import to_graph
from hwprm.nets import GraphModule, reference_network
from hwprm.training import Context, train
from hwprm.training.whitening import whitened
from tests.unit.training.synthetic import blobs, tiny_graph


def _natural():
    """Images whose neighbours are alike, in colours that are alike."""
    rng = np.random.default_rng(0)
    rough = rng.normal(size=(200, 1, 9, 9)).repeat(4, 2).repeat(4, 3)[:, :, :32, :32]
    noisy = 128 + 40 * rough + 8 * rng.normal(size=(200, 3, 32, 32))
    x, y = noisy.clip(0, 255).astype(np.uint8), np.arange(200) % 10
    return Dataset(name="made", source="", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20], classes=10)


def _graph(width=0.25):
    return to_graph(reference_network("fast8-cifar", width=width).eval(), (3, 32, 32))


def test_outputs_are_uncorrelated_without_a_mean_and_come_in_pairs():
    data = _natural()
    graph = whitened(_graph(), data, 200, seed=0)
    first = graph.weighted[0]
    images = torch.from_numpy(data.x_train).float() / 255
    with torch.no_grad():
        out = GraphModule(graph).eval().run(images)[first.name].transpose(0, 1).flatten(1)
    assert len(out) == 24 and out.mean(1).abs().max() < 1e-3
    torch.testing.assert_close(out[12:], -out[:12], rtol=1e-3, atol=1e-4)
    seen = torch.cov(out[:12].double())
    assert (seen - torch.diag(seen.diag())).abs().max() < 1e-3
    assert 0.9 < seen[0, 0] < 1.0 and (seen.diag().diff() < 1e-6).all(), "strong directions are whole, weak ones less"


def test_filters_beyond_the_directions_stay_random():
    graph = to_graph(reference_network("resnet18-cifar", width=1.0).eval(), (3, 32, 32))
    new, old = (one.weighted[0].weight for one in (whitened(graph, _natural(), 50, seed=0), graph))
    assert np.array_equal(new[54:], old[54:]) and not np.isclose(new[:54], old[:54]).all(axis=(1, 2, 3)).any()


def test_training_begins_with_them_and_only_once():
    config = TrainConfig(epochs=1, batch=40, lr=1e-9, weight_decay=0.0, whiten=100, augment="none")
    data = _natural()
    model = train(_graph(), data, Context(config=config))
    wanted = whitened(_graph(), data, 100, seed=0).weighted[0].weight
    np.testing.assert_allclose(model.graph.weighted[0].weight, wanted, atol=1e-6)
    with pytest.raises(ConfigError, match="this one was trained; set it to 0"):
        train(model, data, Context(config=config))
    again = train(model, data, Context(config=replace(config, whiten=0)))
    assert len(again.meta["log"]) == 2


def test_a_network_without_such_a_convolution_is_refused():
    from torch import nn

    graph = to_graph(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval(), (1, 8, 8))
    with pytest.raises(ConfigError, match="^train.whiten begins the one convolution that reads the images"):
        train(graph, blobs(), Context(config=TrainConfig(epochs=1, whiten=10)))
    assert tiny_graph().weighted[0].groups == 1
