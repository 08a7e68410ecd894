"""Steps are reused while their inputs are the same, and leave nothing half-made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hwprm.config import ArrayConfig, Settings
from hwprm.core.errors import InputError
from hwprm.core.progress import Progress, silent
from hwprm.pipeline.step import Facts, Run, Step, Task, run_steps, start_run


class Ears:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def say(self, text: str) -> None:
        self.heard.append(text)

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        self.heard.append(f"run {name}")
        yield silent


def _first(task: Task) -> Facts:
    task.place.mkdir()
    (task.place / "rows").write_text(str(task.settings.array.rows))
    return {"rows": task.settings.array.rows}


def _second(task: Task) -> Facts:
    if (task.out / "stop").exists():
        task.place.write_text("half")
        task.scratch.mkdir()
        (task.scratch / "epoch").write_text("7")
        raise KeyboardInterrupt
    rows = int((task.out / "stages/first/rows").read_text())
    task.place.write_text(str(rows * 2))
    return {"twice": rows * 2}


STEPS = (
    Step(name="first", place="stages/first", run=_first, options=("array",)),
    Step(name="second", place="second.txt", run=_second),
)


def _run(
    out: Path,
    settings: Settings | None = None,
    origin: dict[str, str] | None = None,
    beside: tuple[Path, ...] = (),
) -> tuple[Ears, Run]:
    start_run(out)
    ears = Ears()
    run = Run(out=out, settings=settings or Settings(), inputs={}, given=None, origin=origin or {}, beside=beside)
    run_steps(run, STEPS, ears)
    return ears, run


def test_second_run_reuses_everything(tmp_path: Path) -> None:
    first, run = _run(tmp_path)
    assert first.heard == ["run first", "run second"]
    again, run_again = _run(tmp_path)
    assert again.heard == [f"{name}: reused, its inputs are the same" for name in ("first", "second")]
    assert run_again.done == run.done
    assert (tmp_path / "second.txt").read_text() == "16"


def test_changed_option_runs_from_there(tmp_path: Path) -> None:
    _run(tmp_path)
    ears, run = _run(tmp_path, Settings(array=ArrayConfig(rows=3)))
    assert ears.heard == ["run first", "run second"]
    assert run.done["second"].facts == {"twice": 6}


def test_changed_input_runs_all(tmp_path: Path) -> None:
    _run(tmp_path, origin={"data": "a"})
    ears, _ = _run(tmp_path, origin={"data": "b"})
    assert ears.heard == ["run first", "run second"]


def test_a_step_of_a_run_beside_is_copied(tmp_path: Path) -> None:
    _, made = _run(tmp_path / "a")
    ears, run = _run(tmp_path / "b", beside=(tmp_path / "none", tmp_path / "a"))
    assert ears.heard == [
        f"{name}: reused, its inputs are the same, and another run has it" for name in ("first", "second")
    ]
    assert run.done == made.done and (tmp_path / "b/second.txt").read_text() == "16"
    assert (tmp_path / "b/stages/first/rows").read_text() == "8"
    # It is its own now.
    ears, _ = _run(tmp_path / "b")
    assert ears.heard == [f"{name}: reused, its inputs are the same" for name in ("first", "second")]


def test_only_a_finished_step_of_the_same_inputs_is_copied(tmp_path: Path) -> None:
    _run(tmp_path / "a")
    ears, _ = _run(tmp_path / "b", Settings(array=ArrayConfig(rows=3)), beside=(tmp_path / "a",))
    assert ears.heard == ["run first", "run second"]
    (tmp_path / "a/second.txt").unlink()
    ears, _ = _run(tmp_path / "b", beside=(tmp_path / "a",))
    assert ears.heard == ["first: reused, its inputs are the same, and another run has it", "run second"]
    assert (tmp_path / "b/second.txt").read_text() == "16"


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
    start_run(tmp_path)
    (tmp_path / "stop").touch()
    run = Run(out=tmp_path, settings=Settings(), inputs={}, given=None, origin={})
    with pytest.raises(KeyboardInterrupt):
        run_steps(run, STEPS, Ears())
    (tmp_path / "stop").unlink()
    files = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {"run.json", "first.json", "rows", "epoch"}
    ears, _ = _run(tmp_path)
    first, second = "first: reused, its inputs are the same", "second: goes on where it was interrupted"
    assert ears.heard == [first, second, "run second"]
    assert not list((tmp_path / "stages").glob(".second-*"))


def test_a_failing_step_keeps_what_a_run_with_other_options_left(tmp_path: Path) -> None:
    def fails(task: Task) -> Facts:
        raise InputError("no")

    start_run(tmp_path)
    left = tmp_path / "stages/.first-0123456789ab"
    left.mkdir(parents=True)
    ears, run = Ears(), Run(out=tmp_path, settings=Settings(), inputs={}, given=None, origin={})
    with pytest.raises(InputError):
        run_steps(run, (Step(name="first", place="stages/first", run=fails),), ears)
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
