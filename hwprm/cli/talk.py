"""What a command says while it works: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import progress as bars
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from hwprm.core.progress import FIRST_USE, Progress, silent

if TYPE_CHECKING:
    from hwprm.core.errors import HwprmError

__all__ = ["Outcome", "Talk", "numbers", "once"]

#: Columns of a pipe or file, more than any table has.
PIPED = 1000
#: Numbers of an epoch that the bar has no room for.
SCHEDULES = ("rho", "lr")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a verb found: `data` for scripts, `tables` for people."""

    data: dict[str, Any]
    tables: tuple[RenderableType, ...] = ()
    exit_code: int = 0
    #: The last line of the result.
    verdict: str | None = None
    #: Where the result lies.
    where: Path | None = None
    #: The command that usually comes next.
    then: str | None = None


@dataclass(frozen=True, kw_only=True)
class Talk:
    """One command's voice. A bar is drawn on a terminal only; elsewhere a stage is one line when it ends."""

    quiet: bool = False
    json: bool = False
    results: Console = field(default_factory=lambda: _results())
    progress: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    #: When the command began, on the clock of `time.monotonic`.
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """One plain line on standard error."""
        if not self.quiet:
            self.progress.print(escape(text), soft_wrap=True)

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """A bar with the time left, filled by the progress that this yields."""
        started = time.monotonic()
        if self.quiet or not self.progress.is_terminal:
            yield silent
        else:
            # The bar takes what the words leave: a terminal of 80 columns holds them all.
            columns = (
                SpinnerColumn(),  # moves while a tool says nothing, such as a compiler
                TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", max_width=40)),
                BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4)),
                TextColumn("{task.percentage:>3.0f}%", table_column=Column(no_wrap=True, min_width=4)),
                TextColumn("{task.fields[word]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
                TextColumn("ETA"),
                TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            )
            with bars.Progress(*columns, console=self.progress, transient=True, expand=True) as bar:
                task = bar.add_task(escape(name), total=None, word="")
                yield _Bar(bar, task, name)
        self.say(f"{name}: {time.monotonic() - started:.1f} s")

    def finish(self, outcome: Outcome) -> None:
        """Print the result: one JSON object, or the tables and the verdict; then where it lies and what comes next."""
        if self.json:
            print(json.dumps(outcome.data, indent=1, allow_nan=False))
        elif not self.quiet:
            for table in outcome.tables:
                self.results.print(table)
            if outcome.verdict:
                self.results.print(escape(outcome.verdict), soft_wrap=True)
        last = (outcome.where and f"result: {outcome.where}", outcome.then and f"next: {outcome.then}")
        if told := "; ".join(word for word in last if word):
            self.say(told)

    def elapsed(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self.started

    def account(self, stages: Mapping[str, float]) -> dict[str, float]:
        """Seconds of `stages` and of what else this command did, or did not do again: together those since it began."""
        rest = self.elapsed() - sum(stages.values())
        return {**stages, "other" if rest >= 0 else "earlier attempts": rest}

    def complain(self, error: HwprmError) -> None:
        """An error as one line on standard error, beside results that are worth having all the same."""
        self.progress.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)

    def fail(self, error: HwprmError) -> None:
        """Print an error as one line on standard error, and as JSON where that is asked for."""
        self.complain(error)
        if self.json:
            kind = type(error).__name__
            print(json.dumps({"error": {"kind": kind, "message": str(error), "exit_code": error.exit_code}}, indent=1))


def _results() -> Console:
    """Standard output. What reads a pipe finds a line in a line, however long."""
    terminal = sys.stdout.isatty()
    return Console(highlight=False, soft_wrap=not terminal, width=None if terminal else PIPED)


@dataclass(frozen=True)
class _Bar:
    bar: bars.Progress
    task: TaskID
    name: str

    def __call__(self, stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        what = self.name if stage == self.name else f"{self.name}: {stage}"
        word = "  ".join(numbers(metrics))
        # Nothing done yet is a bar that moves to and fro.
        self.bar.update(
            self.task, description=escape(what), completed=done, total=total if done else None, word=escape(word)
        )


def once(talk: Talk, tick: Progress) -> Progress:
    """`tick`, which is silent without a terminal; the first use of a tool, which takes long, is said anyway."""
    said: set[str] = set()

    def told(stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        if stage.startswith(FIRST_USE) and stage not in said:
            said.add(stage)
            talk.say(stage)
        tick(stage, done, total, metrics)

    return told


def numbers(metrics: Mapping[str, float]) -> Iterator[str]:
    """What is worth watching, in few words: loss, accuracy, the largest primal residual of any layer, and the rest.

    Schedules, which go as the options say, are in the log.
    """
    residuals = [value for key, value in metrics.items() if key.startswith("primal.")]
    shown = {key: value for key, value in metrics.items() if "." not in key and key not in SCHEDULES}
    if "loss" in shown:
        yield f"loss {shown.pop('loss'):.3g}"
    if "accuracy" in shown:
        yield f"acc {shown.pop('accuracy'):.2f}%"
    if "held_out_accuracy" in shown:
        yield f"held out {shown.pop('held_out_accuracy'):.2f}%"
    if residuals:
        yield f"residual {max(residuals):.2g}"
    yield from (f"{key} {value:,.0f}" if value == int(value) else f"{key} {value:.3g}" for key, value in shown.items())
