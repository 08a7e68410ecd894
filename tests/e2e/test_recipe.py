"""The whole recipe on the command line: a public checkpoint and a folder of images, to a small integer network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hwprm
from hwprm.graph import BatchNorm
from hwprm.model import Model
from hwprm.nets import reference_network
from hwprm.sources import plain_network
from tests.conftest import Run
from tests.support.pictures import write_class_folder

OPTIONS = """
[weights]
width = 0.0625
classes = 3
image_size = 8
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[data]
name = "{root}"
image_size = 8
crop_area = 0.5
validation = 30
[train]
epochs = 2
batch = 15
lr = 0.01
[admm]
stages = 1
epochs = 2
final_epochs = 4
compression = 3
[purify]
steps = 3
[quantize]
images = 60
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as torchvision saves one, a folder of 300 images, and a file of options."""
    place = tmp_path_factory.mktemp("recipe")
    root = write_class_folder(place / "pictures", 80, 20, size=20)
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in _checkpoint().items()}, "epoch": 90}, place / "resnet18.pth"
    )
    (place / "recipe.toml").write_text(OPTIONS.format(root=root))
    return place


def _checkpoint() -> dict[str, torch.Tensor]:
    return reference_network("resnet18-cifar", 1, width=1 / 16, classes=3).state_dict()


def _do(run: Run, place: Path, verb: str, *words: object, out: str) -> dict[str, Any]:
    done = run(verb, *words, "--json", config=place / "recipe.toml", out=place / out)
    assert done.exit_code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_recipe(place: Path, run: Run) -> None:
    _do(run, place, "load", "resnet18-cifar", place / "resnet18.pth", out="loaded")
    _do(run, place, "train", place / "loaded", out="trained")
    _do(run, place, "prune", place / "trained", "--stop-after", "admm", out="admm")
    _do(run, place, "prune", place / "admm", "--stop-after", "purify", out="purified")
    _do(run, place, "prune", place / "purified", out="compact")
    _do(run, place, "export", place / "compact", out="exported")
    facts = _do(run, place, "quantize", place / "exported", out="integer")

    model = Model.load(place / "compact")
    accuracy = model.meta["accuracy"] | facts["accuracy"]
    assert set(accuracy) == {"dense", "admm", "purified", "compact", "integer"}
    assert all(percent > 90 for percent in accuracy.values()), accuracy
    # The normalisation is as it was given, and the network still reads bytes.
    norm = model.graph.by_name["normalise"]
    assert isinstance(norm, BatchNorm)
    np.testing.assert_allclose(norm.weight, 1 / np.array([0.229, 0.224, 0.225]), rtol=1e-6)
    assert model.meta["input_scale"] == 1 / 255
    # The plan says what is left of the checkpoint's matrices, and fits the network that they came from.
    plan = hwprm.Plan.load(place / "exported")
    net = reference_network("resnet18-cifar", 1, width=1 / 16, classes=3)
    masked = hwprm.apply_plan(net, plan)
    assert isinstance(masked, torch.nn.Module)
    left = sum(int(torch.count_nonzero(masked.get_submodule(name).weight)) for name in plan.layers)
    whole = sum(net.get_submodule(name).weight.numel() for name in plan.layers)
    rectangles = sum(len(layer.rows) * len(layer.cols) for layer in plan.layers.values())
    # Filters that a residual sum holds on to are in the rectangles, without weights.
    assert left == sum(np.count_nonzero(layer.weight) for layer in model.graph.weighted) < rectangles < whole / 2.5
    integers = plain_network(place / "integer")
    assert integers is not None and integers.tensor[integers.inputs[0]].shape == (3, 8, 8)


ROW = """
[recipe]
title = "ResNet-18 from a checkpoint"
source = "none"
network = "resnet18-cifar"
width = 0.0625
count = "conv_only"
compression = 2
top = 2
steps = ["shrink", "purify", "compact", "finetune"]
seeds = [0]
[shrink]
count = "conv_only"
compression = 2
rate = 1.5
every = 2
[finetune]
epochs = 3
batch = 15
"""


@pytest.mark.slow
def test_a_row_that_starts_from_a_checkpoint(place: Path, run: Run) -> None:
    row = place / "row.toml"
    row.write_text(ROW + (place / "recipe.toml").read_text())
    done = run("repro", row, "--weights", place / "resnet18.pth", "--json", out=place / "rows")
    assert done.exit_code == 0, done.stderr
    (result,) = json.loads(done.stdout)["seeds"]
    assert result["compression"]["conv_only"]["ratio"] >= 2
    assert result["accuracy"]["integer"] > 80, "two of three classes are right"
    dense = Model.load(next((place / "rows" / "shared").glob("dense-*/stages/train")))
    loaded = Model.load(place / "loaded")
    assert dense.meta["weights"]["file"] == "resnet18.pth"
    for layer in loaded.graph.weighted:
        assert np.array_equal(layer.weight, dense.graph.by_name[layer.name].weight), "the checkpoint was not trained on"


def test_the_recipe_repeats_itself(place: Path, run: Run) -> None:
    for out in ("one", "two"):
        _do(run, place, "train", place / "loaded", "--epochs", 1, "--workers", {"one": 1, "two": 3}[out], out=out)
    one, two = (Model.load(place / out).graph.arrays for out in ("one", "two"))
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_an_unreadable_image_stops_training(place: Path, run: Run, tmp_path: Path) -> None:
    root = write_class_folder(tmp_path / "pictures", 3, 1)
    (root / "train" / "bee" / "bee_1.jpg").write_bytes(b"no image")
    done = run("train", place / "loaded", data=root, image_size=8, out=tmp_path / "model")
    assert done.exit_code == 2
    assert "bee_1.jpg is no readable image" in done.stderr and "fetch it again or delete it" in done.stderr
    assert not (tmp_path / "model").exists()


def test_images_of_another_size(place: Path, run: Run, tmp_path: Path) -> None:
    done = run("train", place / "loaded", data=place / "pictures", image_size=18, out=tmp_path / "model")
    assert done.exit_code == 2
    assert "the network reads (3, 8, 8), the images are (3, 18, 18); choose a fitting data set" in done.stderr


def test_a_folder_of_something_else(place: Path, run: Run, tmp_path: Path) -> None:
    for verb in ("train", "prune", "quantize", "compile"):
        done = run(verb, place / "loaded", data=tmp_path, out=tmp_path / "made")
        assert (
            done.exit_code == 2 and "has no folder 'train'; lay the images out as train/CLASS/FILE.jpg" in done.stderr
        )
    assert not list(tmp_path.iterdir())
