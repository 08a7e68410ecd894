"""Named steps whose artefacts are kept, reused while their inputs are the same, and taken up after an interruption."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol

from hwprm.config import SECTIONS, Settings
from hwprm.config.settings import option_lines
from hwprm.core.errors import InputError
from hwprm.core.files import check_output, read_json, write_file
from hwprm.core.formats import RUN
from hwprm.core.progress import Progress, silent
from hwprm.pipeline.code import code_digest
from hwprm.training.distributed import Group

__all__ = [
    "Done",
    "Facts",
    "Listener",
    "Run",
    "Silent",
    "Step",
    "Task",
    "UndeclaredError",
    "check_run",
    "run_steps",
    "start_run",
    "step_keys",
]

Facts = dict[str, Any]
#: Content of ``run.json``: tells a run folder, of this version, from any other.
MARK = json.dumps({"format": RUN}) + "\n"


class UndeclaredError(RuntimeError):
    """A step read what it does not declare: then its artefact would be reused when that changes. A fault of hwprm."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What is known of a finished step: plain JSON facts for the report, and how long it took when it ran."""

    key: str
    seconds: float
    facts: Facts


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run folder and everything that its steps share."""

    out: Path
    settings: Settings
    #: What steps are told beside options, by name: plain JSON.
    inputs: Mapping[str, Any]
    #: What the steps use from outside, such as the data set itself.
    given: Any
    #: What identifies `given`, such as the digest of the data set.
    origin: Mapping[str, str]
    #: Finished steps by name, filled as they finish.
    done: dict[str, Done] = field(default_factory=dict)
    #: Other run folders: a step that one of them finished with the same key is copied, not run.
    beside: tuple[Path, ...] = ()

    def place(self, step: Step) -> Path:
        """Where the artefact of `step` lies."""
        return self.out / step.place


@dataclass(frozen=True, kw_only=True)
class Task:
    """One step in the making: all that it may read, and where it writes."""

    #: Only the sections that the step declares; to use another one raises UndeclaredError.
    settings: Settings
    #: Only the inputs that the step declares.
    inputs: Mapping[str, Any]
    given: Any
    #: The run folder, for what earlier steps left.
    out: Path
    #: The artefact of the step before; None for the first.
    before: Path | None
    #: The artefact, a file or folder that does not exist yet.
    place: Path
    #: A folder for what an interrupted step can go on from; it vanishes when the step ends well.
    scratch: Path
    progress: Progress
    #: Tells whoever watches a line.
    say: Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One stage of the flow.

    `run(task)` writes the artefact to ``task.place`` and returns its facts.
    The artefact is made again when the step before it was, when one of the `inputs` or an option of the sections
    `options` changed, or when the code that `run` reaches did (`hwprm.pipeline.code`).
    """

    name: str
    place: str
    run: Callable[[Task], Facts]
    options: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


class Listener(Protocol):
    """Who is told how a run goes; `hwprm.cli.talk.Talk` is one."""

    def say(self, text: str) -> None: ...

    def stage(self, name: str) -> AbstractContextManager[Progress]: ...


class Silent:
    """The listener that says nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """A progress that shows nothing."""
        return nullcontext(silent)


def check_run(out: Path) -> None:
    """Raise InputError unless `out` is a run folder of this version, or can become one."""
    mark = out / "run.json"
    if not mark.is_file():
        check_output(out, inside=True)
    elif mark.read_text() != MARK:
        raise InputError(f"{out} was made by another version of hwprm; choose another folder or delete it")


def start_run(out: Path) -> None:
    """Make `out` a run folder, or find it to be one. Raises InputError when it holds something else."""
    check_run(out)
    write_file(out / "run.json", MARK)


def run_steps(run: Run, steps: tuple[Step, ...], listener: Listener) -> None:
    """Run `steps` in order into ``run.out``; each that was finished before with the same inputs is reused.

    The processes of a group of ``torch.distributed`` run every step together, and the first one alone writes.
    """
    group = Group.current()
    before: Path | None = None
    for step, key in zip(steps, step_keys(run, steps), strict=True):
        old = group.from_first(partial(_finished, run.out, step, key))
        copied = old or group.from_first(partial(_copied, run, step, key))
        if copied is not None:
            run.done[step.name] = copied
            where = "" if old else ", and another run has it"
            listener.say(f"{step.name}: reused, its inputs are the same{where}")
        else:
            for other in group.from_first(partial(_others, run, step, key)):
                what = "an interrupted run with other options is kept in"
                listener.say(f"{step.name}: {what} {other} until this one is done")
            if group.from_first(_scratch(run, step, key).exists):
                listener.say(f"{step.name}: goes on where it was interrupted")
            with listener.stage(step.name) as progress:
                task = _task(run, step, key, before, progress, listener.say)
                run.done[step.name] = _run(run, step, key, task, group)
        before = run.place(step)


def step_keys(run: Run, steps: tuple[Step, ...]) -> list[str]:
    """SHA-256 of all that the artefact of each step hangs on: those of the steps before it, what it reads, its code."""
    key, keys = json.dumps(run.origin, sort_keys=True), []
    for step in steps:
        values = json.dumps({name: run.inputs[name] for name in step.inputs}, sort_keys=True)
        parts = [key, step.name, values, *option_lines(run.settings, step.options), code_digest(step.run)]
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        keys.append(key)
    return keys


class _Hidden:
    """Stands for what a step does not declare."""

    def __init__(self, step: str, what: str) -> None:
        self._step, self._what = step, what

    def __getattr__(self, name: str) -> NoReturn:
        raise UndeclaredError(f"the step {self._step} reads {self._what}.{name}; declare {self._what!r} in its Step")


class _Inputs(dict[str, Any]):
    """The inputs of a step, by name."""

    def __missing__(self, name: str) -> NoReturn:
        raise UndeclaredError(f"a step reads the input {name!r}; declare it in its Step")


def _task(run: Run, step: Step, key: str, before: Path | None, progress: Progress, say: Callable[[str], None]) -> Task:
    hidden: dict[str, Any] = {name: _Hidden(step.name, name) for name in SECTIONS if name not in step.options}
    place = run.place(step)
    return Task(
        settings=replace(run.settings, **hidden),
        inputs=_Inputs({name: run.inputs[name] for name in step.inputs}),
        given=run.given,
        out=run.out,
        before=before,
        # Every process makes the artefact; that of the first one counts.
        place=place.with_name(f".{place.name}.partial{Group.current().rank or ''}"),
        scratch=_scratch(run, step, key),
        progress=progress,
        say=say,
    )


def _mark(out: Path, step: Step) -> Path:
    return out / "stages" / f"{step.name}.json"


def _finished(out: Path, step: Step, key: str) -> Done | None:
    """What is known of `step` from an earlier run into `out` with the same inputs, or None."""
    old = _read(_mark(out, step))
    return old if old and old.key == key and (out / step.place).exists() else None


def _copied(run: Run, step: Step, key: str) -> Done | None:
    """What is known of `step` from a run beside this one with the same inputs, its artefact copied, or None."""
    for out in run.beside:
        done = _finished(out, step, key)
        if done is None:
            continue
        _clear(run, step)
        source, part = out / step.place, run.place(step).with_name(f".{Path(step.place).name}.partial")
        _remove(part)
        if source.is_dir():
            shutil.copytree(source, part)
        else:
            shutil.copyfile(source, part)
        part.rename(run.place(step))
        _write_mark(run, step, done)
        return done
    return None


def _clear(run: Run, step: Step) -> None:
    """Remove what an earlier run left of `step`."""
    for stale in (_mark(run.out, step), run.place(step)):
        _remove(stale)
    run.place(step).parent.mkdir(parents=True, exist_ok=True)


def _write_mark(run: Run, step: Step, done: Done) -> None:
    write_file(_mark(run.out, step), json.dumps(asdict(done), indent=1) + "\n")


def _scratch(run: Run, step: Step, key: str) -> Path:
    return run.out / "stages" / f".{step.name}-{key[:12]}"


def _others(run: Run, step: Step, key: str) -> list[Path]:
    """What interrupted runs of `step` with other options left to go on from."""
    return sorted(set((run.out / "stages").glob(f".{step.name}-*")) - {_scratch(run, step, key)})


def _run(run: Run, step: Step, key: str, task: Task, group: Group) -> Done:
    place = run.place(step)

    def clear() -> None:
        _remove(task.place)
        _clear(run, step)

    def keep() -> Done:
        task.place.rename(place)
        done = Done(key=key, seconds=round(time.monotonic() - started, 3), facts=facts)
        _write_mark(run, step, done)
        for path in (task.scratch, *_others(run, step, key)):
            _remove(path)
        return done

    group.from_first(clear)
    started = time.monotonic()
    try:
        facts = step.run(task)
        return group.from_first(keep)
    finally:
        _remove(task.place)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _read(mark: Path) -> Done | None:
    """The step's mark, or None when there is none that can be read: then the step runs again."""
    try:
        plain = read_json(mark)
        return Done(key=plain["key"], seconds=plain["seconds"], facts=plain["facts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
