"""Running one tool in a working folder, with its log watched for how far it is."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwprm.core.errors import ToolError
from hwprm.core.process import Outcome, Running, first_ended
from hwprm.core.progress import FIRST_USE
from hwprm.targets.flow.tools import SiliconTool

__all__ = ["Marks", "Ran", "Tell", "run_tool"]

#: Seconds between two looks at a log.
LOOK = 0.2

#: What a log holds when a stage begins, and what the stage is called, in the order in which they come.
Marks = Sequence[tuple[str, str]]
#: Told the stage, and how many of how many stages are over.
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A run that ended well."""

    cpu_seconds: float
    log: Path


def run_tool(
    tool: SiliconTool, arguments: Sequence[str], folder: Path, *, marks: Marks, tell: Tell, seconds: float
) -> Ran:
    """Run `tool` in `folder`, which holds all that it reads and gets all that it writes, and its log.

    Raises ToolError with the end of the log when it fails or takes more than `seconds`.
    """
    first = tool.first_use
    if first:
        tell(f"{FIRST_USE}: {tool.origin} compiles {tool.name}, once; that takes a minute or so", 0, len(marks))
    elif marks:
        tell(f"{tool.name}: {marks[0][1]}", 0, len(marks))
    before = _cpu()
    log = f"{tool.name}.log"
    with Running([*tool.command, *arguments], folder, os.environ, seconds, log) as running:
        reached = -1 if first else 0
        while not first_ended([running], LOOK):
            now = _reached(folder / log, marks)
            if now > reached:
                reached = now
                tell(f"{tool.name}: {marks[now][1]}", now, len(marks))
        outcome = running.wait()
    _check(tool, outcome, seconds)
    return Ran(cpu_seconds=round(_cpu() - before, 2), log=folder / log)


def _reached(log: Path, marks: Marks) -> int:
    """The last of `marks` that the log holds, or -1."""
    text = log.read_text(errors="replace")
    return max((i for i, (mark, _) in enumerate(marks) if mark in text), default=-1)


def _check(tool: SiliconTool, outcome: Outcome, seconds: float) -> None:
    if outcome.returncode is None:
        raise ToolError(f"{tool.label} took more than {seconds:g} seconds; allow it more with --timeout")
    if outcome.returncode != 0:
        end = outcome.tail()
        raise ToolError(f"{tool.label} failed with exit code {outcome.returncode}; the end of its log:\n{end}")


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
