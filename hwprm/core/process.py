"""Child processes with a log and a time-out."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Self

from hwprm.core.errors import ToolError

__all__ = ["Outcome", "Running", "first_ended", "run_logged"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a process ended; `returncode` is None when it was stopped for taking too long."""

    returncode: int | None
    log: Path

    def text(self) -> str:
        """All that it printed."""
        return self.log.read_text(errors="replace")

    def tail(self, lines: int = 25) -> str:
        """The last `lines` lines that it printed."""
        return "\n".join(self.text().splitlines()[-lines:])


class Running:
    """`command` running in `folder`; its output goes to the file `log` there, ``<name of the program>.log`` by default.

    Leaving the ``with`` block, in whatever way, kills it and its children. Raises ToolError when it cannot be started.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float, log: str = ""
    ) -> None:
        self._log = folder / (log or f"{Path(command[0]).name}.log")
        self._seconds, self._start = seconds, time.monotonic()
        # The process holds the other end of this pipe, which the system closes when it ends.
        ours, theirs = os.pipe()
        self.sentinel = open(ours, "rb", buffering=0)  # noqa: SIM115, PTH123  # closed by `stop`
        with self._log.open("wb") as out:
            try:
                self._process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=dict(environment),
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    pass_fds=(theirs,),
                )
            except OSError as error:
                self.sentinel.close()
                raise ToolError(f"{command[0]} cannot be run: {error.strerror}; is it installed?") from error
            finally:
                os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def wait(self) -> Outcome:
        """Wait until it has ended or its seconds are over."""
        try:
            self._process.wait(timeout=self.left)
        except subprocess.TimeoutExpired:
            self.stop()
            return Outcome(returncode=None, log=self._log)
        return Outcome(returncode=self._process.returncode, log=self._log)

    @property
    def left(self) -> float:
        """Seconds until it is stopped."""
        return max(0.0, self._seconds - self.elapsed)

    @property
    def elapsed(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._start

    def stop(self) -> None:
        """Kill it and its children, unless it has ended."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.sentinel.close()


def first_ended(running: Sequence[Running], most: float = math.inf) -> list[Running]:
    """Sleep until one of `running` has ended or its seconds are over; those whose `wait` then returns at once.

    After `most` seconds it returns whatever is so, perhaps nothing.
    """
    ends = [one.sentinel.fileno() for one in running]
    ended = wait_for(ends, timeout=min(most, *(one.left for one in running)))
    return [one for one, end in zip(running, ends, strict=True) if end in ended or one.left == 0]


def run_logged(command: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float) -> Outcome:
    """Run `command` in `folder` to its end, see `Running`. After `seconds` it is killed with its children."""
    with Running(command, folder, environment, seconds) as running:
        return running.wait()
