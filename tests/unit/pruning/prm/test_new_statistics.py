"""Statistics of batch norms behind P-RM."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hwprm import api
from hwprm.config import PruneOptions
from hwprm.config.purify import PurifyConfig
from hwprm.core.errors import ModelError
from hwprm.graph import BatchNorm
from hwprm.model import History, Model, Stage
from hwprm.nets import GraphModule
from hwprm.training.augment import Augmentation
from tests.unit.training.synthetic import blobs, tiny_graph


def test_batch_norms_take_new_statistics_afterwards():
    graph = tiny_graph(norm=True, padding=1)
    weight = graph.by_name["conv1"].weight.copy()
    weight[:, :, 1] = 0
    model = Model(graph=graph.replace(replace(graph.by_name["conv1"], weight=weight)), stage=Stage.ADMM)
    config = PurifyConfig(mode="absolute")
    plain, new = (
        api.prune(model, blobs(), PruneOptions(purify=replace(config, recalibrate=count), stop_after="purify")).graph
        for count in (0, 100)
    )
    name = next(node.name for node in graph.nodes if isinstance(node, BatchNorm))
    assert np.array_equal(plain.by_name[name].mean, graph.by_name[name].mean)
    assert not np.array_equal(new.by_name[name].mean, plain.by_name[name].mean)
    for layer in plain.weighted:
        assert np.array_equal(layer.weight, new.by_name[layer.name].weight)


def test_new_statistics_are_of_images_as_training_saw_them():
    """What a model notes of its training decides; one that came from elsewhere notes nothing."""
    bright = replace(blobs(), x_train=np.full_like(blobs().x_train, 255))
    seen = Augmentation(kind="crop_flip", clean_share=0.0, cutout=4).to_json()
    options = PruneOptions(purify=PurifyConfig(mode="absolute", recalibrate=100), stop_after="purify")
    means = []
    for history in ({}, {"augmentation": seen}):
        model = Model(graph=tiny_graph(norm=True), stage=Stage.ADMM, meta=History.of(history))
        graph = api.prune(model, bright, options).graph
        norm = next(node for node in graph.nodes if isinstance(node, BatchNorm))
        module = GraphModule(graph).eval()
        images = torch.from_numpy(bright.x_train).float() / 255
        with torch.no_grad():
            clean = module.run(images)[norm.inputs[0]].mean((0, 2, 3)).numpy()
        means.append(np.abs(norm.mean - clean).max())
    assert means[0] < 1e-5 < 0.01 < means[1]


def test_an_augmentation_that_no_training_notes_is_refused():
    history = History.of({"augmentation": {"kind": "mirror", "clean_share": 0.0, "cutout": 0}})
    model = Model(graph=tiny_graph(norm=True), stage=Stage.ADMM, meta=history)
    options = PruneOptions(purify=PurifyConfig(recalibrate=100), stop_after="purify")
    with pytest.raises(ModelError, match="'mirror'.* as its augmentation; train it again"):
        api.prune(model, blobs(), options)
