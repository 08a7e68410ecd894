"""Child processes: logs, and an end with their children."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from time import sleep

import pytest

from hwprm.core.errors import ToolError
from hwprm.core.process import Running, first_ended, run_logged


def _has_ended(stat: Path) -> bool:
    try:
        return stat.read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_process_is_stopped_with_its_children(tmp_path: Path) -> None:
    code = "import subprocess; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True); child.wait()"
    outcome = run_logged([sys.executable, "-c", code], tmp_path, os.environ, 1.0)
    assert outcome.returncode is None
    child = Path("/proc") / outcome.text().strip() / "stat"
    # It may be on its way out, and whoever adopts it may not have collected it yet.
    assert any(_has_ended(child) or sleep(0.05) for _ in range(200))


def test_a_process_and_its_log(tmp_path: Path) -> None:
    outcome = run_logged(["sh", "-c", "seq 40; exit 3"], tmp_path, os.environ, 10.0)
    assert (outcome.returncode, outcome.tail(2)) == (3, "39\n40")
    with pytest.raises(ToolError, match="no/such cannot be run: No such file or directory; is it installed?"):
        run_logged(["no/such"], tmp_path, os.environ, 10.0)


def test_the_first_to_end_is_waited_for(tmp_path: Path) -> None:
    with ExitStack() as stack:

        def start(*command: str, seconds: float = 600.0) -> Running:
            return stack.enter_context(Running(command, tmp_path, os.environ, seconds))

        long, short = start("sleep", "600"), start("sleep", "600", seconds=2.0)
        both = [start("true"), start("false")]
        codes = []
        while both:
            for ended in first_ended([long, short, *both]):
                codes.append(ended.wait().returncode)
                both.remove(ended)
        assert sorted(map(str, codes)) == ["0", "1"]
        assert first_ended([long, short]) == [short]
        assert (short.left, short.wait().returncode) == (0, None)
        assert long.left > 500
