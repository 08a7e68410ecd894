"""What the verbs that make models share: the data set, a checkpoint beside the output, the result's tables."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwprm.cli.talk import Outcome, Talk, Ticker
from hwprm.config import Settings
from hwprm.errors import HwprmError

if TYPE_CHECKING:
    from hwprm.data import Dataset
    from hwprm.model import Model
    from hwprm.train import Checkpoint

__all__ = ["Work", "finish_model", "working_on"]


@dataclass(frozen=True, kw_only=True)
class Work:
    """One model in the making."""

    out: Path
    data: Dataset
    checkpoint: Checkpoint
    progress: Ticker
    #: Whether this process writes the result; of several that train together only the first one does.
    first: bool


@contextmanager
def working_on(talk: Talk, settings: Settings, verb: str, out: Path, source: str) -> Iterator[Work]:
    """Check the output, load the data, and keep a checkpoint beside `out` until the block ends well.

    Started by torchrun, this joins the other processes. The checkpoint's name holds a digest of options and source, so
    a run with others starts anew.
    """
    from hwprm.folders import check_output
    from hwprm.sources import as_dataset
    from hwprm.train import Checkpoint
    from hwprm.train.distributed import process_group

    folder = out.with_name(f".{out.name}.resume-{_digest(settings, source)}")
    with process_group(settings.train) as group:
        first = group.rank == 0
        with group.first_alone():  # it may download
            check_output(out)
            data = as_dataset(settings.data)
        talk.say(f"data: {data.name}, {data.source}")
        for other in out.parent.glob(f".{out.name}.resume-*") if first else ():
            if other != folder:
                shutil.rmtree(other)
        checkpoint = Checkpoint(folder=folder, resume=True)
        try:
            with talk.stage(verb) as tick:
                yield Work(out=out, data=data, checkpoint=checkpoint, progress=tick, first=first)
        except HwprmError:
            if folder.is_dir():
                talk.say(f"{verb}: epochs that were finished are kept in {folder} for the next try")
            raise
        if first:
            shutil.rmtree(folder, ignore_errors=True)


def finish_model(model: Model, work: Work) -> Outcome:
    """Save `model` into the new folder ``work.out`` and show it."""
    from hwprm.folders import new_folder
    from hwprm.report import describe, tables

    if not work.first:
        return Outcome(data={})
    with new_folder(work.out) as folder:
        model.save(folder)
    facts = describe(work.out)
    return Outcome(data=facts | {"out": str(work.out)}, tables=tables(facts))


def _digest(settings: Settings, source: str) -> str:
    digest = hashlib.sha256(repr((settings.data, settings.train, settings.admm, source)).encode())
    weights = Path(source) / "weights.safetensors"
    file = weights if weights.is_file() else Path(source)
    if file.is_file():
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
