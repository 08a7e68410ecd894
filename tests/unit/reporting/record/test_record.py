"""What the verbs leave beside a model: options, log, curves; and the log while they run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from hwprm import api
from hwprm.config import PruneOptions, Settings, ShrinkConfig, TrainConfig, load_settings
from hwprm.core.files import digest_of
from hwprm.model import Model
from hwprm.reporting.record.live import Watch
from hwprm.reporting.record.record import applied, write_record
from hwprm.sources import as_dataset
from tests.conftest import Run

FILES = {"config.toml", "curves.html", "curves.png", "log.jsonl"}
MODEL = {"graph.json", "model.json", "weights.safetensors"}


def _lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def trained(tiny_model: Path, tiny_data: Path, tmp_path: Path, run: Run) -> Path:
    result = run("train", tiny_model, data=tiny_data, epochs=3, lr=0.01, out=tmp_path / "trained")
    assert result.exit_code == 0, result.output
    return tmp_path / "trained"


def test_files_of_training(trained: Path, tiny_data: Path) -> None:
    assert {path.name for path in trained.iterdir()} == FILES | MODEL
    settings = load_settings(trained / "config.toml")
    assert (settings.train, settings.data.name) == (TrainConfig(epochs=3, lr=0.01), str(tiny_data))
    text = (trained / "config.toml").read_text()
    assert "[admm]" not in text and "data_dir =" not in text and "[run]" not in text
    lines = _lines(trained / "log.jsonl")
    assert [(line["stage"], line["epoch"]) for line in lines] == [("train", 1), ("train", 2), ("train", 3)]
    assert lines == Model.load(trained).meta["log"]
    assert list(lines[0])[:3] == ["stage", "epoch", "loss"]


def test_options_repeat_the_run(trained: Path, tiny_model: Path, tmp_path: Path, run: Run) -> None:
    again = run("train", tiny_model, config=trained / "config.toml", out=tmp_path / "again")
    assert again.exit_code == 0, again.output
    for name in (FILES | MODEL) - {"model.json"}:  # which has the seconds
        assert (trained / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_files_of_pruning(trained: Path, tiny_data: Path, tmp_path: Path, run: Run) -> None:
    options = {"admm_compression": 3, "admm_stages": 1, "admm_epochs": 2, "admm_final_epochs": 1, "data": tiny_data}
    result = run("prune", trained, out=tmp_path / "small", **options)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "small").iterdir()} == FILES | MODEL
    lines = _lines(tmp_path / "small" / "log.jsonl")
    assert [line["stage"] for line in lines] == ["train"] * 3 + ["admm"] * 3
    assert {"rho", "primal.conv", "dual.conv", "primal.fc", "dual.fc"} <= lines[4].keys()
    text = (tmp_path / "small" / "config.toml").read_text()
    assert "compression = 3.0" in text and 'stop_after = "finetune"' in text
    assert "12" not in text.partition("[train]")[2].partition("[admm]")[0], "epochs of training are not pruning's"
    for title in ("Summary", "Accuracy", "Compression", "Weight matrices: rows and columns kept"):
        assert title in result.stdout


def test_teachers_are_noted(trained: Path, tiny_model: Path, tiny_data: Path, tmp_path: Path, run: Run) -> None:
    assert "teacher" not in Model.load(trained).meta
    assert run("train", trained, data=tiny_data, epochs=20, lr=0.01, out=tmp_path / "wise").exit_code == 0
    trained = tmp_path / "wise"
    options = {"data": tiny_data, "teacher": trained, "epochs": 1, "out": tmp_path / "taught"}
    result = run("train", tiny_model, "--json", **options)
    assert result.exit_code == 0, result.output
    noted = Model.load(tmp_path / "taught").meta["teacher"]
    assert noted == {"name": "tiny", "sha256": digest_of(trained / "weights.safetensors")}
    assert json.loads(result.stdout)["teacher"] == noted
    assert f"of a teacher: tiny, {noted['sha256'][:12]}" in (tmp_path / "taught" / "curves.html").read_text()
    shown = run("report", tmp_path / "taught")
    assert f"tiny, weights {noted['sha256'][:12]}" in shown.stdout
    small = ShrinkConfig(compression=1.2, rate=1.3, every=1)
    shrunk = api.prune(tmp_path / "taught", str(tiny_data), PruneOptions(shrink=small, stop_after="shrink"))
    own = digest_of(tmp_path / "taught" / "weights.safetensors")
    assert shrunk.meta["teacher"] == {"name": "tiny", "sha256": own}, "a dense network teaches its own shrinking"


class _StopError(Exception):
    """The run is interrupted."""


def test_log_while_it_runs(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    data, config, file = as_dataset(str(tiny_data)), TrainConfig(epochs=5), tmp_path / "log.jsonl"

    def stop(stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        if done == total * 3 // 5:
            raise _StopError

    watch = Watch(stop)
    with pytest.raises(_StopError):
        api.train(tiny_model, data, config, progress=watch, checkpoint=watch.checkpoint(tmp_path))
    assert [line["epoch"] for line in _lines(file)] == [1, 2], "the third was not finished"
    said: list[str] = []
    watch = Watch(lambda stage, done, total, metrics: None, lambda: said.append(file.read_text()))
    model = api.train(tiny_model, data, config, progress=watch, checkpoint=watch.checkpoint(tmp_path))
    assert _lines(file) == model.meta["log"]
    assert [len(text.splitlines()) for text in said] == [3], "told once, when there is something to look at"


def test_residuals_are_told_between_epochs() -> None:
    heard: list[dict[str, float]] = []
    watch = Watch(lambda stage, done, total, metrics: heard.append(dict(metrics)))
    watch("admm", 1, 9, {"loss": 3.0})
    watch._epoch({"loss": 2.0, "primal.conv": 0.5})
    watch("admm", 2, 9, {"loss": 1.0})
    watch("purify", 1, 9, {"accuracy": 98.0})
    assert heard == [{"loss": 3.0}, {"loss": 1.0, "primal.conv": 0.5}, {"accuracy": 98.0}]


def test_without_matplotlib_and_without_epochs(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwprm.reporting.record.record.find_spec", lambda name: None)
    write_record(Model.load(trained), tmp_path, Settings(), applied("data"))
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == FILES - {"curves.png"}
    bare = tmp_path / "bare"
    bare.mkdir()
    model = Model.load(trained)
    write_record(Model(graph=model.graph, stage=model.stage), bare, Settings(), applied("data"))
    assert {path.name for path in bare.iterdir()} == {"config.toml", "log.jsonl"}


def test_matplotlib_is_imported_for_pictures_only() -> None:
    rooms = "api", "emission", "verification", "reporting.page", "reporting.record.record", "reporting.curves.plot"
    names = ", ".join(f"hwprm.{room}" for room in rooms)
    code = f"import sys, {names}; sys.exit(bool({{'matplotlib', 'torch'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
