"""What the benchmarks share: options, measured child processes, markdown tables and result files."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwprm.core.files import write_file

__all__ = [
    "RESULTS",
    "RUNS",
    "Clock",
    "Usage",
    "markdown",
    "measure",
    "parser",
    "say",
    "stopwatch",
    "verdict",
    "write_results",
]

HERE = Path(__file__).resolve().parent
#: Committed results, one JSON file per benchmark.
RESULTS = HERE / "results"
#: Where the benchmarks keep what they make, relative to the working folder; git ignores it.
RUNS = Path("runs")


def parser(doc: str) -> argparse.ArgumentParser:
    """A parser whose help is the docstring of the benchmark, with the options that all of them have."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON results (default: %(default)s)")
    return made


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A markdown table; integers get thousands separators, floats two decimals at most."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
    return str(value)


def verdict(good: bool) -> str:
    """How a target was met, for tables."""
    return "met" if good else "MISSED"


def write_results(name: str, facts: dict[str, Any], folder: Path) -> Path:
    """Write `facts` and the class of this machine to ``<name>.json``; neither dates nor paths go in."""
    target = folder / f"{name}.json"
    plain = {"benchmark": name, "machine": f"{os.cpu_count()} cores"} | facts
    write_file(target, json.dumps(plain, indent=1, allow_nan=False) + "\n")
    return target


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a process and the children that it waited for took."""

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float

    def as_dict(self) -> dict[str, float]:
        """Plain data, rounded to what is meaningful."""
        return {key: round(value, 2) for key, value in asdict(self).items()}


def measure(command: Sequence[str | Path], **options: Any) -> tuple[Usage, str]:
    """Run `command` to its end; its usage and its standard output.

    `peak_mib` is the largest resident set of any one process. Raises CalledProcessError when it fails.
    """
    start = time.monotonic()
    with subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, text=True, **options) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - start
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, list(command), output=text)
    return Usage(wall_seconds=wall, cpu_seconds=used.ru_utime + used.ru_stime, peak_mib=used.ru_maxrss / 1024), text


@dataclass
class Clock:
    """Wall and CPU seconds of a block, children included; filled when the block ends."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def stopwatch() -> Iterator[Clock]:
    """Time a block of this process and the children that it waits for."""
    clock = Clock()
    wall, cpu = time.monotonic(), _cpu()
    try:
        yield clock
    finally:
        clock.wall, clock.cpu = time.monotonic() - wall, _cpu() - cpu


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def say(text: str) -> None:
    """A line of progress, on standard error."""
    print(text, file=sys.stderr, flush=True)
