"""`hwprm report` of two folders, and the sensitivity of a model."""

from __future__ import annotations

import json
from pathlib import Path

from hwprm.model import Model, Stage
from tests.conftest import Run, tiny_graph


def test_two_models(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    Model(graph=tiny_graph(), stage=Stage.DENSE, meta={"accuracy": {"dense": 90.0}}).save(other)
    result = run("report", tiny_model, other)
    assert result.exit_code == 0 and "1 numbers differ" in result.stdout and "accuracy.dense" in result.stdout
    assert json.loads(run("report", tiny_model, tiny_model, "--json").stdout)["rows"] == []


def test_two_studies(run: Run, tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    words = ("explore", tiny_model, "--rows", "1..2", "--data", tiny_data, "--validation", 30)
    for name in ("short", "fast"):
        assert run(*words, "--pipeline", name, "-o", tmp_path / name).exit_code == 0
    result = run("report", tmp_path / "short", tmp_path / "fast")
    assert result.exit_code == 0 and "quotients of 2 points with equal options" in result.stdout
    assert "Front of both together" in result.stdout and "points.0" not in result.stdout
    facts = json.loads(run("report", tmp_path / "short", tmp_path / "fast", "--json").stdout)
    assert facts["shared"]["ratio"]["cycles"][0] >= 1.0, "a fast pipeline takes no fewer cycles"


def test_a_page_is_about_one_folder(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    result = run("report", tiny_model, tiny_model, html=tmp_path / "page.html")
    assert result.exit_code == 2 and "about one folder, not two" in result.stderr
    assert not (tmp_path / "page.html").exists()


def test_sensitivity(run: Run, tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    words = ("report", tiny_model, "--sensitivity", "--array-rows", 4, "--array-cols", 2, "--html", page, "--json")
    facts = json.loads(run(*words, data=tiny_data, validation=30).stdout)
    assert {cut["layer"] for cut in facts["cuts"]} == {"conv", "fc"} and facts["array"] == {"rows": 4, "cols": 2}
    assert "Cycles saved" in page.read_text()
    missing = run("report", tiny_model, "--sensitivity", data=tmp_path / "nothing.npz")
    assert missing.exit_code == 2
