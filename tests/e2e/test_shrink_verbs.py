"""`hwprm prune --method shrink` with fine-tuning, and `hwprm repro` with a recipe of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hwprm.model import Model

OPTIONS = ("--data", "bars.npz", "--validation", "40")


def _hwprm(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "hwprm", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    y = np.arange(240) % 10
    x = rng.integers(0, 60, (240, 28, 28))
    for image, label in zip(x, y, strict=True):
        image[2 * label : 2 * label + 8, 4:24] += 150
    place = tmp_path_factory.mktemp("shrink")
    np.savez(place / "bars.npz", x=x.astype(np.uint8), y=y)
    done = _hwprm(place, "train", "lenet5", *OPTIONS, "--epochs", "2", "--batch", "16", "--out", "dense")
    assert done.returncode == 0, done.stderr
    return place


@pytest.mark.slow
def test_shrink_then_finetune_in_one_command(folder):
    options = ("--method", "shrink", "--shrink-compression", "50", "--shrink-rate", "8", "--shrink-every", "2")
    more = ("--finetune-epochs", "3", "--finetune-batch", "16", "--train-batch", "16")
    done = _hwprm(folder, "prune", "dense", *OPTIONS, *options, *more, "--out", "small")
    assert done.returncode == 0, done.stderr
    model = Model.load(folder / "small")
    assert set(model.meta["accuracy"]) == {"dense", "shrunk", "purified", "compact", "finetuned"}
    assert model.meta["waterfall"][-1]["all_weights"]["ratio"] >= 50
    stages = [entry["stage"] for entry in model.meta["log"]]
    assert stages.count("finetune") == 3 and stages.count("shrink") >= 2
    assert 'method = "shrink"' in (folder / "small" / "config.toml").read_text()
    for name in ("log.jsonl", "curves.html", "curves.png"):
        assert (folder / "small" / name).stat().st_size > 0
    # The same command from the options that it left gives the same weights.
    again = _hwprm(folder, "prune", "dense", "--config", "small/config.toml", "--out", "again")
    assert again.returncode == 0, again.stderr
    weights = [(folder / name / "weights.safetensors").read_bytes() for name in ("small", "again")]
    assert weights[0] == weights[1]
    shown = _hwprm(folder, "report", "small")
    for word in ("shrunk", "finetuned", "path_removal", "conv1"):
        assert word in shown.stdout.replace("path removal", "path_removal"), shown.stdout


RECIPE = """
[recipe]
title = "bars"
source = "none"
count = "all_weights"
compression = 20
reach = 10
steps = ["shrink", "purify", "compact", "finetune"]
seeds = [3]

[data]
name = "bars.npz"
validation = 40

[train]
epochs = 2
batch = 16

[shrink]
compression = 20
rate = 8.0
every = 2

[finetune]
epochs = 1
batch = 16
"""


@pytest.mark.slow
def test_repro_of_an_own_recipe(folder):
    (folder / "bars.toml").write_text(RECIPE)
    done = _hwprm(folder, "repro", "bars.toml", "--out", "rows", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["row"] == "bars" and [result["seed"] for result in facts["seeds"]] == [3]
    assert facts["reached"] is True
    words = _hwprm(folder, "repro", "bars.toml", "--out", "rows")
    assert "seed 3" in words.stdout and "reached" in words.stdout
    assert words.stderr.count("reused") == 8


def test_repro_lists_its_rows(folder):
    done = _hwprm(folder, "repro", "--list", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["lenet5-conv-232x"]["paper_accuracy"] == 98.48
    assert rows["vgg16-50x"]["gpu"]
    none = _hwprm(folder, "repro")
    assert none.returncode == 2 and "which row? name one of `hwprm repro --list`" in none.stderr
