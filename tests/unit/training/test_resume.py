"""Whatever stops a run, it goes on to the bits of a run that was never stopped."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import hwprm.training.checkpoint as module_of_checkpoint
from hwprm.config.admm import AdmmConfig, LayerBudget
from hwprm.config.train import TrainConfig
from hwprm.core.errors import InputError, ModelError
from hwprm.graph import Clamp, Relu
from hwprm.model import Model, Stage
from hwprm.pruning.admm.admm import admm
from hwprm.training import Checkpoint, Context, train
from tests.unit.training.synthetic import bits, blobs, tiny_graph

BASE = TrainConfig(epochs=3, batch=45, lr=5e-3, augment="affine")
ADMM = AdmmConfig(
    budgets={"fc1": LayerBudget(filters=8, columns=20), "conv2": LayerBudget(columns=12)},
    stages=1,
    epochs=3,
    final_epochs=2,
)


class StopAt:
    """Ctrl-C when this many epochs have been told."""

    def __init__(self, epochs):
        self.left = epochs

    def __call__(self, stage, done, total, metrics):
        self.left -= "accuracy" in metrics
        if self.left < 0:
            raise KeyboardInterrupt


def _half_zero(model):
    weight = model.graph.by_name["fc1"].weight.copy()
    weight[:, ::2] = 0
    return model.advance(model.graph.replace(replace(model.graph.by_name["fc1"], weight=weight)), Stage.COMPACT)


def _train(config, **more):
    return train(tiny_graph(norm=True), blobs(), Context(config=config, **more))


def _fine_tune(config, **more):
    """Of a compact model, with a teacher and copies of the images made before."""
    model = _half_zero(Model(graph=tiny_graph(seed=1), stage=Stage.DENSE))
    return train(
        model, blobs(), Context(config=replace(config, copies=2, clean_share=0.3), teacher=tiny_graph(seed=2), **more)
    )


def _masked(config, **more):
    return train(
        _half_zero(Model(graph=tiny_graph(norm=True), stage=Stage.DENSE)), blobs(), Context(config=config, **more)
    )


def _admm(config, **more):
    return admm(Model(graph=tiny_graph(), stage=Stage.DENSE), blobs(), ADMM, Context(config=config, **more))


RUNS = {"train": _train, "admm": _admm, "masked": _masked, "fine_tune": _fine_tune}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_stopped_run_goes_on_to_the_same_bits(run, optimiser, precision, tmp_path):
    config = replace(BASE, optimiser=optimiser, precision=precision, warmup=0.2, clip=2.0, schedule="step")
    whole = run(config)
    for resume in (False, True):  # stopped twice, after one epoch more each time
        with pytest.raises(KeyboardInterrupt):
            run(config, progress=StopAt(1), checkpoint=Checkpoint(folder=tmp_path, resume=resume))
    told = []
    resumed = run(
        config, progress=lambda *call: told.append(call[1]), checkpoint=Checkpoint(folder=tmp_path, resume=True)
    )
    assert told[0] > 8, "epochs that were kept are not run again"
    assert bits(resumed.graph) == bits(whole.graph)
    assert resumed.meta["log"] == whole.meta["log"]


@pytest.mark.parametrize(
    "change", [{"rho_end": 1.0}, {"updates": 2}, {"rhos": 2}, {"dual_step": 0.3}, {"path_aware": False}]
)
def test_admm_is_not_taken_up_with_other_options(change, tmp_path):
    kept = Checkpoint(folder=tmp_path, resume=True)
    with pytest.raises(KeyboardInterrupt):
        _admm(BASE, progress=StopAt(1), checkpoint=kept)
    with pytest.raises(ModelError, match="belongs to a run with other options"):
        admm(
            Model(graph=tiny_graph(), stage=Stage.DENSE),
            blobs(),
            replace(ADMM, **change),
            Context(config=BASE, checkpoint=kept),
        )


def test_a_network_of_the_same_weights_is_another_one(tmp_path):
    kept, config = Checkpoint(folder=tmp_path, resume=True), replace(BASE, epochs=1)
    graph = tiny_graph()
    train(graph, blobs(), Context(config=config, checkpoint=kept))
    relus = [node for node in graph.nodes if isinstance(node, Relu)]
    other = graph.replace(*(Clamp(name=node.name, inputs=node.inputs, low=0.0, high=6.0) for node in relus))
    with pytest.raises(ModelError, match="belongs to a run with other options, another network"):
        train(other, blobs(), Context(config=config, checkpoint=kept))


PLACES = ["save_file", "mkdir", "write_text", "replace", "second replace", "unlink"]


def _break(monkeypatch, place, error):
    """Let `error` happen at `place` in the writing of epoch 2."""
    name = place.removeprefix("second ")
    owner = module_of_checkpoint if name == "save_file" else Path
    real, calls = getattr(owner, name), 0
    # How often epoch 1 comes by: nothing is old then, and two files are renamed.
    before = {"replace": 2, "second replace": 3, "unlink": 0}.get(place, 1)

    def broken(*args, **options):
        nonlocal calls
        calls += 1
        if calls == before + 1:
            if name in ("save_file", "write_text"):  # a part of it gets there
                path = args[1] if name == "save_file" else args[0]
                path.write_bytes(b"{")
            raise error
        return real(*args, **options)

    monkeypatch.setattr(owner, name, broken)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))], ids=type)
def test_a_stop_at_any_point_of_writing_loses_no_epoch(place, error, tmp_path, monkeypatch):
    whole = _train(BASE)
    with monkeypatch.context() as patch, pytest.raises((KeyboardInterrupt, InputError)) as stopped:
        _break(patch, place, error)
        _train(BASE, checkpoint=Checkpoint(folder=tmp_path))
    # Once the JSON file is in place epoch 2 is kept: only the old tensors were still to be deleted.
    epoch = json.loads((tmp_path / "train.json").read_text())["epoch"]
    assert epoch == (2 if place == "unlink" else 1)
    if stopped.type is InputError and place != "unlink":
        assert str(stopped.value) == (
            f"cannot keep epoch 2 of train in {tmp_path}: No space left on device; epoch 1 is kept there; make room "
            "and run again with the same options"
        )
        assert not list(tmp_path.glob("*.part")), "what was half-written is gone"
    resumed = _train(BASE, checkpoint=Checkpoint(folder=tmp_path, resume=True))
    assert bits(resumed.graph) == bits(whole.graph)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_a_write_that_the_system_cuts_short(tmp_path):
    """A real refusal: files may not grow beyond 4 KiB in this process."""
    config = replace(BASE, epochs=1)
    _train(config, checkpoint=Checkpoint(folder=tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signals = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(
            InputError, match=r"^cannot keep epoch 1 of train in .*: .*File too large.*; epoch 0 is kept"
        ):
            _train(replace(config, lr=1e-3), checkpoint=Checkpoint(folder=tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, signals)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_disk_that_is_full_from_the_start(tmp_path, monkeypatch):
    def full(*_):
        raise module_of_checkpoint.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(module_of_checkpoint, "save_file", full)
    with pytest.raises(InputError, match=r"No space left on device \(os error 28\); no epoch was kept before it; make"):
        _train(BASE, checkpoint=Checkpoint(folder=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_sgd_without_momentum_and_of_a_float64_network(tmp_path):
    graph = tiny_graph()
    wide = graph.replace(
        *(replace(n, weight=n.weight.astype(np.float64), bias=n.bias.astype(np.float64)) for n in graph.weighted)
    )
    config = replace(BASE, optimiser="sgd", momentum=0.0)
    whole = train(wide, blobs(), Context(config=config))
    with pytest.raises(KeyboardInterrupt):
        train(wide, blobs(), Context(config=config, progress=StopAt(1), checkpoint=Checkpoint(folder=tmp_path)))
    resumed = train(wide, blobs(), Context(config=config, checkpoint=Checkpoint(folder=tmp_path, resume=True)))
    assert bits(resumed.graph) == bits(whole.graph)
    assert resumed.graph.weighted[0].weight.dtype == np.float64 and torch.get_default_dtype() == torch.float32
