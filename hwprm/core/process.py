"""Child processes with a log and a time-out."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hwprm.core.errors import ToolError

__all__ = ["Outcome", "Running", "run_logged"]


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
                )
            except OSError as error:
                raise ToolError(f"{command[0]} cannot be run: {error.strerror}; is it installed?") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def wait(self) -> Outcome:
        """Wait until it has ended or its seconds are over."""
        try:
            self._process.wait(timeout=max(0.0, self._seconds - self.elapsed))
        except subprocess.TimeoutExpired:
            self.stop()
            return Outcome(returncode=None, log=self._log)
        return Outcome(returncode=self._process.returncode, log=self._log)

    @property
    def done(self) -> bool:
        """Whether `wait` would return at once."""
        return self._process.poll() is not None or self.elapsed >= self._seconds

    @property
    def elapsed(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._start

    def stop(self) -> None:
        """Kill it and its children, unless it has ended."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def run_logged(command: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float) -> Outcome:
    """Run `command` in `folder` to its end, see `Running`. After `seconds` it is killed with its children."""
    with Running(command, folder, environment, seconds) as running:
        return running.wait()
