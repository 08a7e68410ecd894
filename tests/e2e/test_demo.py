"""The main job, small: every stage for real, every promised file and key."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwprm.config import Settings, load_settings
from hwprm.data import load_dataset
from hwprm.pipeline import Silent, demo_settings, run_demo
from tests.conftest import Run

pytestmark = pytest.mark.sim

OPTIONS = """
[train]
epochs = 1
batch = 32
[admm]
stages = 1
epochs = 1
retrain_epochs = 0
final_epochs = 1
[finetune]
epochs = 1
[verify]
images = 20
[run]
quiet = true
json = true
"""
DOCS = Path(__file__).resolve().parents[2] / "docs"


class Ears(Silent):
    """Remembers what is said."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def say(self, text: str) -> None:
        self.heard.append(text)


def _settings(folder: Path, work: Path) -> Settings:
    """Those of the demo, with a quarter of its images: training takes as long as all else together."""
    file, images = folder / "options.toml", folder / "digits.npz"
    file.write_text(OPTIONS)
    if not images.exists():
        every = load_dataset("mnist_subset")
        test = {"x_test": every.x_test[:500], "y_test": every.y_test[:500]}
        np.savez(images, x=every.x_train[:2500], y=every.y_train[:2500], **test)
    return load_settings(file, {("verify", "work"): str(work), ("data", "name"): str(images)}, demo_settings())


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, work: Path) -> Iterator[Path]:
    """A finished run with a part of the embedded data."""
    folder = tmp_path_factory.mktemp("demo")
    run_demo(folder / "run", _settings(folder, work), Silent())
    yield folder / "run"


@pytest.fixture(scope="module")
def report(out: Path) -> Any:
    return json.loads((out / "report.json").read_text())


def test_files(out: Path) -> None:
    names = {"bundle", "junit.xml", "report.html", "report.json", "run.json", "stages"}
    assert {path.name for path in out.iterdir()} == names
    assert not list(out.rglob("*.partial")), "half-made things were left"
    assert (out / "bundle" / "manifest.json").is_file()
    suite = ET.parse(out / "junit.xml").getroot()
    assert int(suite.get("tests", 0)) > 0
    assert suite.get("failures") == "0"


def test_files_beside_the_models(out: Path) -> None:
    made = {"train": "data train", "admm": "data train admm", "purify": "data purify"}
    made["finetune"] = "data train finetune"
    for stage, sections in made.items():
        folder = out / "stages" / stage
        assert {"config.toml", "log.jsonl", "curves.png", "curves.html"} <= {path.name for path in folder.iterdir()}
        assert re.findall(r"^\[(\w+)\]", (folder / "config.toml").read_text(), re.MULTILINE) == sections.split()
        assert load_settings(folder / "config.toml").data.validation == 1000
    lines = (out / "stages" / "finetune" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["stage"] for line in lines] == ["train", "admm", "admm", "finetune"]
    assert not list((out / "stages").glob(".*")), "the log of the run while it ran went with its checkpoints"


def test_report_keys_are_the_documented_ones(report: Any) -> None:
    text = (DOCS / "report.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    keys = {key for row in rows for key in re.findall(r"`([\w.]+)`", row)}
    for key in keys:
        value = report
        for part in key.split("."):
            assert part in value, key
            value = value[part]
    assert {key.partition(".")[0] for key in keys} == set(report)


def test_report_is_consistent(report: Any) -> None:
    assert report["net"] == "lenet5"
    assert report["data"]["test"] == 500
    assert list(report["accuracy"]) == ["dense", "admm", "purified", "compact", "finetuned", "integer"]
    assert all(50 < value <= 100 for value in report["accuracy"].values())
    assert report["accuracy"]["compact"] == report["accuracy"]["purified"]
    bases = {key: entry["base"] for key, entry in report["compression"].items()}
    assert (bases["conv_only"], bases["all_weights"]) == (25_500, 430_500)
    for entry in report["compression"].values():
        assert entry["ratio"] == entry["base"] / entry["left"] > 1
    stages = ["dense", "admm", "purification", "path_removal", "integer"]
    assert [row["stage"] for row in report["waterfall"]] == stages
    for count in ("conv_only", "all_weights", "stored_bits"):
        left = [row[count]["left"] for row in report["waterfall"]]
        assert left == sorted(left, reverse=True), count


def test_cycles(report: Any) -> None:
    cycles = report["cycles"]
    assert cycles["predicted"] == cycles["simulated"] <= cycles["limit"]
    assert cycles["bound"] <= cycles["predicted"]
    assert len(cycles["layers"]) == 4
    for key in ("predicted", "simulated", "promise", "bound"):  # bounds are sums of floats in the same order
        assert sum(layer[key] for layer in cycles["layers"]) == cycles[key], key


def test_cycles_before_pruning(report: Any) -> None:
    dense, predicted = report["cycles"]["dense"], report["cycles"]["predicted"]
    assert list(dense["layers"]) == [layer["name"] for layer in report["cycles"]["layers"]]
    assert sum(dense["layers"].values()) == dense["image"] > 5 * predicted


def test_verification(report: Any) -> None:
    verify = report["verify"]
    assert verify["ok"] and verify["mismatches"] == 0 and verify["failures"] == []
    assert verify["images"] == 20
    assert verify["values_compared"] >= 1000
    assert verify["simulator"].startswith("verilator 5.")


def test_no_path_of_this_machine(out: Path) -> None:
    for name in ("report.json", "report.html"):
        assert str(out) not in (out / name).read_text()
    for path in (out / "bundle").rglob("*"):
        if path.is_file():
            assert str(out).encode() not in path.read_bytes(), path


def test_second_run_reuses_everything(out: Path, report: Any, work: Path) -> None:
    ears = Ears()
    again = run_demo(out, _settings(out.parent, work), ears)
    assert again == report
    reused = [line for line in ears.heard if line.endswith("reused, its inputs are the same")]
    assert len(reused) == 8
    assert ears.heard[0] == "data: digits, digits.npz"


def test_report_verb(out: Path, report: Any, run: Run) -> None:
    assert json.loads(run("report", out, "--json").stdout) == report
    tables = run("report", out).stdout
    for title in ("Summary", "Accuracy", "Compression", "Clock cycles per image on 8 x 8", "Verification", "Time"):
        assert title in tables
    bundle = json.loads(run("report", out / "bundle", "--json").stdout)
    assert bundle["cycles"]["predicted"] == report["cycles"]["predicted"]


def test_estimate_verb(out: Path, report: Any, run: Run) -> None:
    counted = json.loads(run("estimate", out / "bundle", "--json").stdout)
    assert counted["cycles"]["predicted"] == report["cycles"]["simulated"]
    wider = json.loads(run("estimate", out / "bundle", "--json", cols=16).stdout)
    assert wider["array"] == {"rows": 8, "cols": 16}
    assert wider["cycles"]["predicted"] < counted["cycles"]["predicted"]
    same = json.loads(run("estimate", out / "stages" / "quantize", "--json").stdout)
    assert same["cycles"]["predicted"] == counted["cycles"]["predicted"]


def test_edited_bundle(out: Path, run: Run, tmp_path: Path) -> None:
    import shutil

    bundle = tmp_path / "bundle"
    shutil.copytree(out / "bundle", bundle)
    image = next((bundle / "mem").glob("*.mem"))
    text = image.read_text()
    image.write_text(("0" if text[0] != "0" else "1") + text[1:])
    for verb in ("verify", "estimate", "report"):
        result = run(verb, bundle)
        assert result.exit_code == 2, verb
        assert f"{image.name} was edited (its SHA-256 is not the manifest's)" in result.stderr
    shutil.rmtree(bundle)
    shutil.copytree(out / "bundle", bundle)
    manifest = bundle / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"rows": 8', '"rows": 7'))
    result = run("verify", bundle)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "manifest.json was edited" in result.stderr
