"""Child processes: logs, and an end with their children."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from hwprm.core.errors import ToolError
from hwprm.verification.simulators.process import run_logged


def test_a_process_is_stopped_with_its_children(tmp_path: Path) -> None:
    code = "import subprocess; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True); child.wait()"
    outcome = run_logged([sys.executable, "-c", code], tmp_path, os.environ, 1.0)
    assert outcome.returncode is None
    child = Path("/proc") / outcome.text().strip() / "stat"
    # Whoever adopts the child may not have collected it yet.
    assert not child.exists() or child.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_a_process_and_its_log(tmp_path: Path) -> None:
    outcome = run_logged(["sh", "-c", "seq 40; exit 3"], tmp_path, os.environ, 10.0)
    assert (outcome.returncode, outcome.tail(2)) == (3, "39\n40")
    with pytest.raises(ToolError, match="no/such cannot be run: No such file or directory; is it installed?"):
        run_logged(["no/such"], tmp_path, os.environ, 10.0)
