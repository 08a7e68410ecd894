"""The main job around its steps: what it leaves when something is wrong or stops it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import hwprm
from hwprm import pipeline
from hwprm.core import libpython
from hwprm.core.errors import DataError, ToolError
from hwprm.pipeline import run


def test_wrong_data_folder_leaves_nothing(tmp_path: Path) -> None:
    settings = pipeline.demo_settings()
    settings = replace(settings, data=replace(settings.data, data_dir=str(tmp_path / "absent")))
    with pytest.raises(DataError, match="does not exist"):
        hwprm.demo(tmp_path / "run", settings)
    assert list(tmp_path.iterdir()) == []


def test_a_tool_that_verification_lacks_is_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libpython, "_found", lambda: None)
    with pytest.raises(ToolError, match="this Python has no shared library"):
        hwprm.demo(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_stopped_run_does_not_show_older_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    run.start_run(tmp_path)
    for name in ("report.json", "report.html"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setattr(run, "run_steps", stop)
    with pytest.raises(KeyboardInterrupt):
        hwprm.demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
