"""Steps are reused while their inputs are the same, and leave nothing half-made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hwprm.config import ArrayConfig, Settings
from hwprm.core.errors import InputError
from hwprm.pipeline.step import Desk, Facts, Job, Step, Ticker, run_steps, start_run


class Ears:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def say(self, text: str) -> None:
        self.heard.append(text)

    @contextmanager
    def stage(self, name: str) -> Iterator[Ticker]:
        self.heard.append(f"run {name}")
        yield lambda stage, done, total, metrics: None


def _first(job: Job, desk: Desk) -> Facts:
    desk.place.mkdir()
    (desk.place / "rows").write_text(str(job.settings.array.rows))
    return {"rows": job.settings.array.rows}


def _second(job: Job, desk: Desk) -> Facts:
    rows = int((job.out / "stages/first/rows").read_text())
    desk.place.write_text(str(rows * 2))
    return {"twice": rows * 2}


STEPS = (
    Step(name="first", place="stages/first", run=_first, sections=("array",)),
    Step(name="second", place="second.txt", run=_second),
)


def _run(out: Path, settings: Settings | None = None, inputs: dict[str, str] | None = None) -> tuple[Ears, Job]:
    start_run(out)
    ears = Ears()
    job = Job(out=out, settings=settings or Settings(), inputs=inputs or {}, given=None)
    run_steps(job, STEPS, ears)
    return ears, job


def test_second_run_reuses_everything(tmp_path: Path) -> None:
    first, job = _run(tmp_path)
    assert first.heard == ["run first", "run second"]
    again, job_again = _run(tmp_path)
    assert again.heard == [f"{name}: reused, its inputs are the same" for name in ("first", "second")]
    assert job_again.done == job.done
    assert (tmp_path / "second.txt").read_text() == "16"


def test_changed_option_runs_from_there(tmp_path: Path) -> None:
    _run(tmp_path)
    ears, job = _run(tmp_path, Settings(array=ArrayConfig(rows=3)))
    assert ears.heard == ["run first", "run second"]
    assert job.done["second"].facts == {"twice": 6}


def test_changed_input_runs_all(tmp_path: Path) -> None:
    _run(tmp_path, inputs={"data": "a"})
    ears, _ = _run(tmp_path, inputs={"data": "b"})
    assert ears.heard == ["run first", "run second"]


def test_lost_artefact_runs_again(tmp_path: Path) -> None:
    _run(tmp_path)
    (tmp_path / "second.txt").unlink()
    ears, _ = _run(tmp_path)
    assert ears.heard == ["first: reused, its inputs are the same", "run second"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": "x"}'])
def test_broken_mark_runs_again(tmp_path: Path, text: str) -> None:
    _run(tmp_path)
    (tmp_path / "stages/first.json").write_text(text)
    ears, _ = _run(tmp_path)
    assert ears.heard == ["run first", "second: reused, its inputs are the same"]


def test_interrupted_step_leaves_nothing_and_the_run_continues(tmp_path: Path) -> None:
    def interrupted(job: Job, desk: Desk) -> Facts:
        desk.place.write_text("half")
        desk.scratch.mkdir()
        (desk.scratch / "epoch").write_text("7")
        raise KeyboardInterrupt

    start_run(tmp_path)
    job = Job(out=tmp_path, settings=Settings(), inputs={}, given=None)
    with pytest.raises(KeyboardInterrupt):
        run_steps(job, (STEPS[0], Step(name="second", place="second.txt", run=interrupted)), Ears())
    files = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {"run.json", "first.json", "rows", "epoch"}
    ears, _ = _run(tmp_path)
    assert ears.heard == ["first: reused, its inputs are the same", "run second"]
    assert not list((tmp_path / "stages").glob(".second-*"))


def test_a_failing_step_keeps_what_a_run_with_other_options_left(tmp_path: Path) -> None:
    def fails(job: Job, desk: Desk) -> Facts:
        raise InputError("no")

    start_run(tmp_path)
    left = tmp_path / "stages/.first-0123456789ab"
    left.mkdir(parents=True)
    ears, job = Ears(), Job(out=tmp_path, settings=Settings(), inputs={}, given=None)
    with pytest.raises(InputError):
        run_steps(job, (Step(name="first", place="stages/first", run=fails),), ears)
    assert left.is_dir()
    assert ears.heard[0] == f"first: an interrupted run with other options is kept in {left} until this one is done"
    _run(tmp_path)
    assert not left.exists()


def test_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"is not empty; choose another one or delete it$"):
        start_run(tmp_path)


@pytest.mark.parametrize("text", ['{"format": "hwprm-run-0"}', ""])
def test_run_of_another_version_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"was made by another version of hwprm; choose another folder or delete it$"):
        start_run(tmp_path)
