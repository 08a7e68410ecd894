"""What the verbs that make models share: the data set, a checkpoint beside the output, the result's tables."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwprm.cli.talk import Outcome, Talk
from hwprm.config import Settings
from hwprm.config.settings import option_lines
from hwprm.core.errors import HwprmError
from hwprm.core.files import read_json
from hwprm.core.progress import Progress

if TYPE_CHECKING:
    from hwprm.model import Model
    from hwprm.sources import Split
    from hwprm.training import Checkpoint

__all__ = ["Work", "keep_model", "show_model", "working_on"]


@dataclass(frozen=True, kw_only=True)
class Work:
    """One model in the making."""

    out: Path
    split: Split
    checkpoint: Checkpoint
    progress: Progress
    #: Whether this process writes the result; of several that train together only the first one does.
    first: bool


@contextmanager
def working_on(talk: Talk, settings: Settings, verb: str, out: Path, source: str) -> Iterator[Work]:
    """Check the output, load the data, and keep a checkpoint beside `out` until the block ends well.

    Started by torchrun, this joins the other processes. The checkpoint's name holds a digest of all that a run depends
    on, so one with other options, another network, teacher or other data starts anew. What such a run left stays until
    this one has ended well.
    """
    from hwprm.core.files import check_output, lock_folder
    from hwprm.reporting.record.live import Watch
    from hwprm.reporting.record.record import LOG
    from hwprm.sources import as_split, check_there
    from hwprm.training.devices import slow_precision
    from hwprm.training.distributed import process_group

    check_there(source)
    with process_group(settings.train) as group, ExitStack() as locked:
        first = group.rank == 0
        group.from_first(lambda: locked.enter_context(lock_folder(out)))
        with group.first_alone():  # it may download
            check_output(out)
            split = as_split(settings.data)
        talk.say(f"data: {split.dataset.name}, {split.dataset.source}")
        if remark := slow_precision(settings.train):
            talk.say(remark)
        folder = out.with_name(f".{out.name}.resume-{_digest(settings, verb, source, split.dataset.fingerprint)}")
        others = sorted(set(out.parent.glob(f".{out.name}.resume-*")) - {folder})
        for other in others:
            talk.say(f"{verb}: an interrupted run with other options is kept in {other} until this one has ended well")
        if first and (last := max(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, default=None)):
            talk.say(f"{verb}: goes on where it was interrupted, after epoch {_epoch(last)} of {last.stem}")
        try:
            with talk.stage(verb) as tick:
                watch = Watch(tick, lambda: talk.say(f"log, a line an epoch: {folder / LOG}"))
                yield Work(out=out, split=split, checkpoint=watch.checkpoint(folder), progress=watch, first=first)
        except HwprmError:
            if folder.is_dir():
                talk.say(f"{verb}: epochs that were finished are kept in {folder} for the next try")
            raise
        if first:
            for done in (folder, *others):
                shutil.rmtree(done, ignore_errors=True)


def _epoch(file: Path) -> object:
    """How far the phase of a checkpoint's `file` came; whether it can be read at all, the phase itself finds out."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return read_json(file)["epoch"]
    return "?"


def keep_model(model: Model, out: Path, settings: Settings, keys: Collection[str]) -> None:
    """Save `model` into the new folder `out`, beside it the options `keys`, its log and its curves."""
    from hwprm.core.files import new_folder
    from hwprm.reporting.record.record import write_record

    with new_folder(out) as folder:
        model.save(folder)
        write_record(model, folder, settings, keys)


def show_model(talk: Talk, out: Path, then: str, before: Model | None = None) -> Outcome:
    """The model in `out`, with the seconds of this command: `before` is what it began with; `then` comes next."""
    from hwprm.reporting import describe, tables

    facts = describe(out)
    old = before.meta.get("seconds", {}) if before else {}
    spent = {stage: seconds - old.get(stage, 0.0) for stage, seconds in facts["seconds"].items()}
    facts["seconds"] = talk.account({stage: seconds for stage, seconds in spent.items() if seconds > 0})
    return Outcome(data=facts | {"out": str(out)}, tables=tables(facts), where=out, then=then)


def _digest(settings: Settings, verb: str, source: str, data: str) -> str:
    """Of the options of what is trained, and of the bytes of network, teacher and `data` (a fingerprint)."""
    run = settings.run
    trained = {
        "train": ("train",),
        "prune": ("train", run.method, "finetune"),
        "quantize": ("train", "quantize", "qat"),
    }[verb]
    options = option_lines(settings, ("data", *trained))
    digest = hashlib.sha256(repr((options, run.teacher, source, data)).encode())
    for place in (Path(source), *([run.teacher] if run.teacher else [])):
        for file in sorted(path for path in (place.iterdir() if place.is_dir() else (place,)) if path.is_file()):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
