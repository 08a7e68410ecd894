"""Child processes with a log and a time-out."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwprm.errors import ToolError

__all__ = ["Outcome", "run_logged"]


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


def run_logged(command: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float) -> Outcome:
    """Run `command` in `folder`; its output goes to ``<name of the program>.log`` there.

    After `seconds` it is killed with its children. Raises ToolError when it cannot be started.
    """
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as out:
        try:
            process = subprocess.Popen(
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
        try:
            return Outcome(returncode=process.wait(timeout=seconds), log=log)
        except subprocess.TimeoutExpired:
            return Outcome(returncode=None, log=log)
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and its children, also when we were interrupted."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
