"""The log of a run while it runs: a line for each epoch, beside the checkpoint that the run would go on from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hwprm.core.progress import Progress
from hwprm.reporting.record.record import LOG
from hwprm.training.checkpoint import Checkpoint, Saved

__all__ = ["LiveLog", "Watch"]


@dataclass(frozen=True, kw_only=True)
class LiveLog(Checkpoint):
    """A checkpoint that appends every finished epoch to ``log.jsonl`` in its folder, and tells `epoch` its numbers (and
    nothing else that the log has of it).

    The file is there to be watched, and stays when the run is interrupted; the model's own log is made of its history.
    """

    epoch: Callable[[Mapping[str, float]], None] = field(default=lambda metrics: None)

    def save(self, phase: str, identity: str, saved: Saved) -> None:
        """As `Checkpoint.save`; then the epochs of `phase` that the file lacks."""
        super().save(phase, identity, saved)
        file = self.folder / LOG
        known = file.read_text().splitlines() if file.is_file() else []
        there = sum(line.startswith(_head(phase)) for line in known)
        with file.open("a", encoding="utf-8") as stream:
            for number, entry in enumerate(saved.history[there:], there + 1):
                stream.write(_head(phase) + json.dumps({"epoch": number, **entry})[1:] + "\n")
        self.epoch({key: value for key, value in saved.history[-1].items() if isinstance(value, float | int)})


def _head(phase: str) -> str:
    """How a line of `phase` begins."""
    return json.dumps({"stage": phase})[:-1] + ", "


class Watch:
    """A progress that goes on telling the last epoch's numbers, residuals of every layer too, between the epochs.

    `first` is called when there is a log to look at.
    """

    def __init__(self, tell: Progress, first: Callable[[], None] = lambda: None) -> None:
        self._tell, self._first = tell, first
        self._started = False
        self._stage = ""
        self._last: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        if stage != self._stage:
            self._stage, self._last = stage, {}
        self._tell(stage, done, total, {**self._last, **metrics})

    def checkpoint(self, folder: Path) -> LiveLog:
        """A checkpoint in `folder` whose epochs this tells of."""
        return LiveLog(folder=folder, resume=True, epoch=self._epoch)

    def _epoch(self, metrics: Mapping[str, float]) -> None:
        if not self._started:
            self._first()
            self._started = True
        self._last = dict(metrics)
