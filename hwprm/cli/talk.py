"""What a command says while it works: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from hwprm.errors import HwprmError

__all__ = ["Outcome", "Talk", "Ticker"]

#: Called with what is going on, steps done, steps in all, and numbers to show; as `hwprm.train.Progress`.
Ticker = Callable[[str, int, int, Mapping[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a verb found: `data` for scripts, `tables` for people."""

    data: dict[str, Any]
    tables: tuple[RenderableType, ...] = ()
    exit_code: int = 0


@dataclass(frozen=True, kw_only=True)
class Talk:
    """One command's voice. A bar is drawn on a terminal only; elsewhere a stage is one line when it ends."""

    quiet: bool = False
    json: bool = False
    results: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=not sys.stdout.isatty()))
    progress: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))

    def say(self, text: str) -> None:
        """One plain line on standard error."""
        if not self.quiet:
            self.progress.print(escape(text), soft_wrap=True)

    @contextmanager
    def stage(self, name: str) -> Iterator[Ticker]:
        """A bar with the time left, filled by the ticker that this yields."""
        started = time.monotonic()
        if self.quiet or not self.progress.is_terminal:
            yield _ignore
        else:
            columns = (
                TextColumn("{task.description:<16}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeElapsedColumn(),
                TextColumn("ETA"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[word]}"),
            )
            with Progress(*columns, console=self.progress, transient=True) as bar:
                task = bar.add_task(escape(name), total=None, word="")
                yield _Bar(bar, task, name)
        self.say(f"{name}: {time.monotonic() - started:.1f} s")

    def finish(self, outcome: Outcome) -> None:
        """Print the result: one JSON object, or the tables."""
        if self.json:
            print(json.dumps(outcome.data, indent=1, allow_nan=False))
        elif not self.quiet:
            for table in outcome.tables:
                self.results.print(table)

    def fail(self, error: HwprmError) -> None:
        """Print an error as one line on standard error, and as JSON where that is asked for."""
        self.progress.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        if self.json:
            kind = type(error).__name__
            print(json.dumps({"error": {"kind": kind, "message": str(error), "exit_code": error.exit_code}}, indent=1))


@dataclass(frozen=True)
class _Bar:
    bar: Progress
    task: TaskID
    name: str

    def __call__(self, stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        what = self.name if stage == self.name else f"{self.name}: {stage}"
        word = "  ".join(f"{key} {value:.4g}" for key, value in metrics.items())
        self.bar.update(self.task, description=escape(what), completed=done, total=total, word=escape(word))


def _ignore(stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
    """The ticker of a stage that nobody watches."""
