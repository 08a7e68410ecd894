"""Two processes give what one gives, one of them writes, and both fail together."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hwprm.model import Model, Stage
from hwprm.training.distributed import Group
from tests.conftest import tiny_graph
from tests.unit.training.distributed_worker import cases, norms_apart, weights

#: Sums in another order: weights after a dozen to thirty steps, of size 0.1 to 1.
TOLERANCE = 2e-5


ROW = """
[recipe]
title = "bars"
source = "none"
count = "all_weights"
compression = 5
steps = ["shrink", "purify", "compact", "finetune"]
seeds = [0]
[data]
name = "{data}"
validation = 40
[train]
epochs = 1
batch = 50
augment = "none"
[shrink]
compression = 5
rate = 3.0
every = 2
[finetune]
epochs = 1
batch = 50
"""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("two")
    shutil.copy(tiny_data, folder / "tiny.npz")
    Model(graph=tiny_graph(), stage=Stage.DENSE).save(folder / "tiny")
    y = np.arange(240) % 10
    np.savez(folder / "bars.npz", x=np.random.default_rng(0).integers(0, 256, (240, 28, 28)).astype(np.uint8), y=y)
    (folder / "row.toml").write_text(ROW.format(data=folder / "bars.npz"))
    # The module of the command torchrun.
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tests.unit.training.distributed_worker"]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.mark.parametrize("name", cases())
def test_two_processes_give_the_result_of_one(ran, name):
    folder, _ = ran
    alone = weights(cases()[name]())
    first, second = (np.load(folder / f"{name}-{rank}.npz") for rank in (0, 1))
    assert set(first.files) == set(alone)
    for key, expected in alone.items():
        assert first[key].tobytes() == second[key].tobytes(), "the processes have the same bits"
        np.testing.assert_allclose(first[key], expected, rtol=0, atol=TOLERANCE, err_msg=key)
        assert np.array_equal(first[key] == 0, expected == 0)


def test_norms_of_parts_end_with_the_same_bits_everywhere(ran):
    folder, _ = ran
    alone = weights(norms_apart())
    first, second = (np.load(folder / f"apart-{rank}.npz") for rank in (0, 1))
    assert all(first[key].tobytes() == second[key].tobytes() for key in alone)
    apart = {key: np.abs(first[key] - alone[key]).max() for key in alone}
    assert max(apart.values()) > 100 * TOLERANCE, "statistics of half a batch are others"


def test_processes_fail_together_with_the_same_words(ran):
    folder, _ = ran
    first, second = ((folder / f"errors-{rank}.txt").read_text() for rank in (0, 1))
    assert first == second
    disk, batch = first.splitlines()
    assert disk.startswith("cannot keep epoch 1 of train in ") and "No space left on device" in disk
    assert batch == (
        "batches of 1 images (180 images, train.batch = 1) cannot be shared by 2 processes; use larger batches or "
        "fewer processes"
    )


def test_a_row_is_trained_together_and_written_once(ran):
    folder, done = ran
    facts = json.loads((folder / "rows/row/result.json").read_text())
    assert [result["seed"] for result in facts["seeds"]] == [0]
    stages = folder / "rows/row/seed-0/stages"
    assert Model.load(stages / "finetune").meta["log"]
    left = [path.name for path in (folder / "rows").rglob(".*")]
    assert not left, "half-made artefacts"
    assert done.stdout.count("seeds within") == 2 and done.stderr.count("finetune: reused") == 1
    assert "hwprm demo does not share its work among processes" in done.stderr and not (folder / "demo").exists()


def test_only_the_first_process_writes_and_talks(ran):
    folder, done = ran
    assert Model.load(folder / "model").meta["log"]
    assert done.stdout.count("Accuracy on the test split") == 1
    assert sum(line.startswith("finetune: ") for line in done.stderr.splitlines()) == 2
    assert "Traceback" not in done.stderr and "Grad strides" not in done.stderr
    assert sorted(path.name for path in (folder / "checkpoint").glob("*.json")) == ["admm-01.json", "admm-02.json"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_parts_cover_every_image_once(size):
    for count in (7, 8, 20):
        parts = [range(count)[Group(rank=rank, size=size).own(count)] for rank in range(size)]
        assert [i for part in parts for i in part] == list(range(count))
        assert all(parts)
