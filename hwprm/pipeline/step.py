"""Named steps whose artefacts are kept, reused while their inputs are the same, and taken up after an interruption."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hwprm.config import Settings
from hwprm.config.options import options_of
from hwprm.config.settings import SECTIONS
from hwprm.core.errors import InputError
from hwprm.core.files import check_output, write_file
from hwprm.core.resources import resource_dir

if TYPE_CHECKING:
    from hwprm.training.distributed import Group

__all__ = [
    "Desk",
    "Done",
    "Facts",
    "Job",
    "Listener",
    "Silent",
    "Step",
    "Ticker",
    "check_run",
    "run_steps",
    "start_run",
]

Facts = dict[str, Any]
#: Called with what is going on, steps done, steps in all, and numbers to show; as `hwprm.train.Progress`.
Ticker = Callable[[str, int, int, Mapping[str, float]], None]
#: Content of ``run.json``: tells a run folder, of this version, from any other.
MARK = json.dumps({"format": "hwprm-run-1"}) + "\n"


@dataclass(frozen=True, kw_only=True)
class Done:
    """What is known of a finished step: plain JSON facts for the report, and how long it took when it ran."""

    key: str
    seconds: float
    facts: Facts


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run folder and everything that its steps share."""

    out: Path
    settings: Settings
    #: What identifies the inputs from outside, such as the data set's bytes.
    inputs: Mapping[str, str]
    #: What the steps use from outside, such as the data set itself.
    given: Any
    #: Finished steps by name, filled as they finish.
    done: dict[str, Done] = field(default_factory=dict)

    def place(self, step: Step) -> Path:
        """Where the artefact of `step` lies."""
        return self.out / step.place


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where one step works."""

    #: The artefact, a file or folder that does not exist yet.
    place: Path
    #: A folder for what an interrupted step can go on from; it vanishes when the step ends well.
    scratch: Path
    tick: Ticker


@dataclass(frozen=True, kw_only=True)
class Step:
    """One stage of the flow.

    `run(job, desk)` writes the artefact to ``desk.place`` and returns its facts.
    The artefact is made again when the step before it was, when an option of `sections` changed, or when the code of
    `packages` did.
    """

    name: str
    place: str
    run: Callable[[Job, Desk], Facts]
    sections: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


class Listener(Protocol):
    """Who is told how a run goes; `hwprm.cli.talk.Talk` is one."""

    def say(self, text: str) -> None: ...

    def stage(self, name: str) -> AbstractContextManager[Ticker]: ...


class Silent:
    """The listener that says nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def stage(self, name: str) -> AbstractContextManager[Ticker]:
        """A ticker that does nothing."""
        return nullcontext(lambda stage, done, total, metrics: None)


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


def run_steps(job: Job, steps: tuple[Step, ...], listener: Listener) -> None:
    """Run `steps` in order into ``job.out``; each that was finished before with the same inputs is reused.

    The processes of a group of ``torch.distributed`` run every step together, and the first one alone writes.
    """
    from hwprm.training.distributed import Group

    group = Group.current()
    key = json.dumps(job.inputs, sort_keys=True)
    for step in steps:
        key = _key(job, step, key)
        old = group.from_first(partial(_finished, job, step, key))
        if old is not None:
            job.done[step.name] = old
            listener.say(f"{step.name}: reused, its inputs are the same")
            continue
        for other in group.from_first(partial(_others, job, step, key)):
            what = "an interrupted run with other options is kept in"
            listener.say(f"{step.name}: {what} {other} until this one is done")
        with listener.stage(step.name) as tick:
            job.done[step.name] = _run(job, step, key, tick, group)


def _mark(job: Job, step: Step) -> Path:
    return job.out / "stages" / f"{step.name}.json"


def _finished(job: Job, step: Step, key: str) -> Done | None:
    """What is known of `step` from an earlier run with the same inputs, or None."""
    old = _read(_mark(job, step))
    return old if old and old.key == key and job.place(step).exists() else None


def _scratch(job: Job, step: Step, key: str) -> Path:
    return job.out / "stages" / f".{step.name}-{key[:12]}"


def _others(job: Job, step: Step, key: str) -> list[Path]:
    """What interrupted runs of `step` with other options left to go on from."""
    return sorted(set((job.out / "stages").glob(f".{step.name}-*")) - {_scratch(job, step, key)})


def _run(job: Job, step: Step, key: str, tick: Ticker, group: Group) -> Done:
    place = job.place(step)
    # Every process makes the artefact; that of the first one counts.
    work = place.with_name(f".{place.name}.partial{group.rank or ''}")
    scratch = _scratch(job, step, key)

    def clear() -> None:
        for stale in (_mark(job, step), place, work):
            _remove(stale)
        place.parent.mkdir(parents=True, exist_ok=True)

    def keep() -> Done:
        work.rename(place)
        done = Done(key=key, seconds=round(time.monotonic() - started, 3), facts=facts)
        write_file(_mark(job, step), json.dumps(asdict(done), indent=1) + "\n")
        for path in (scratch, *_others(job, step, key)):
            _remove(path)
        return done

    group.from_first(clear)
    started = time.monotonic()
    try:
        facts = step.run(job, Desk(place=work, scratch=scratch, tick=tick))
        return group.from_first(keep)
    finally:
        _remove(work)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _key(job: Job, step: Step, before: str) -> str:
    options = [
        f"{option.key}={getattr(getattr(job.settings, section), option.name)!r}"
        for section in step.sections
        for option in options_of(section, SECTIONS[section])
    ]
    parts = [before, step.name, *options, *(_code(package) for package in step.packages)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@cache
def _code(package: str) -> str:
    """Hash of one of hwprm's packages, modules or resource folders: a result of other code is not the same result."""
    if package == "rtl_templates":
        root = resource_dir("rtl_templates")
    elif package == "sim":
        root = resource_dir("sim")
    else:
        root = Path(__file__).resolve().parent.parent / package
    if root.is_dir():
        files = sorted(path for path in root.rglob("*") if path.suffix in (".py", ".j2", ".h"))
    else:
        files = [root.with_suffix(".py")]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _read(mark: Path) -> Done | None:
    """The step's mark, or None when there is none that can be read: then the step runs again."""
    try:
        plain = json.loads(mark.read_text())
        return Done(key=plain["key"], seconds=plain["seconds"], facts=plain["facts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
