"""What a session left: results, and why it failed as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.core.errors import ToolError
from hwprm.core.process import Outcome
from hwprm.verification.simulators import session
from hwprm.verification.simulators.session import CocotbCase, Invocation
from hwprm.verification.simulators.tools import Simulator

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


INVOCATION = Invocation(
    simulator=Simulator(name="icarus", version="12.0", executable=Path("iverilog")),
    program=Path("sim.vvp"),
    module="tb",
    tests=["a"],
    plusargs=[],
    seed=1,
    timeout=9.0,
)


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
    trouble = session._trouble(INVOCATION, Outcome(returncode=returncode, log=tmp_path / "x.log"), cases)
    assert (trouble is None) == (want is None)
    assert want is None or want in str(trouble)


def test_a_test_bench_that_does_not_load_is_a_missing_tool_and_no_mismatch(tmp_path: Path) -> None:
    said = "-.--ns ERROR gpi dynload.cpp:42 in utils_dyn_open Unable to open lib 'simulator.so': undefined symbol: PyX"
    (tmp_path / "x.log").write_text(f"one line\n  {said}\n")
    with pytest.raises(ToolError, match="could not load the test bench: -.*undefined symbol: PyX; `hwprm doctor`"):
        session._trouble(INVOCATION, Outcome(returncode=0, log=tmp_path / "x.log"), None)
