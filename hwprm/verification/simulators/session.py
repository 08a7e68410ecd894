"""One simulator run of a cocotb module, and its verdict as the results file has it."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, Self

from cocotb_tools import config as cocotb_config

from hwprm.core.errors import ToolError
from hwprm.core.libpython import shared_python
from hwprm.core.process import Outcome, Running
from hwprm.core.resources import resource_dir
from hwprm.verification.simulators.builds import TOP
from hwprm.verification.simulators.tools import Simulator

__all__ = ["SETUP", "CocotbCase", "Invocation", "Session", "SessionRun"]

#: What the testbench reads from its working folder: images, registers, seed; what it writes there: the event log, and
#: the test under way (`hwprm.testbench.bench`, which only a simulator can import).
SETUP, EVENTS, RUNNING = "setup.json", "events.log", "running.json"

#: What simulators print when a memory image is missing or of the wrong length; all but warnings to them.
MEMORY_TROUBLE = ("hwprm: cannot", "$readmem", "readmemh", "Not enough words", "Too many words")
#: What cocotb prints when Python or its own libraries do not load: nothing of the design was looked at then.
LOAD_TROUBLE = ("Unable to open lib", "Error loading library")


@dataclass(frozen=True, kw_only=True)
class CocotbCase:
    """One cocotb test; `failure` is its message, None when it passed."""

    name: str
    seconds: float
    failure: str | None


@dataclass(frozen=True, kw_only=True)
class Session:
    """What a run left behind. `trouble` is why the run as a whole failed, None when it did not."""

    cases: tuple[CocotbCase, ...]
    trouble: str | None
    folder: Path

    @property
    def events(self) -> Path:
        """The testbench's event log."""
        return self.folder / EVENTS

    def note(self, name: str) -> Any:
        """The JSON file `name` that the testbench wrote, None when it did not."""
        path = self.folder / name
        return json.loads(path.read_text()) if path.is_file() else None


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """How a compiled simulation is started: `program` with the cocotb `module` of ``sim/``, which has `tests`."""

    simulator: Simulator
    program: Path
    module: str
    tests: Sequence[str]
    plusargs: Sequence[str]
    seed: int
    #: Seconds after which it is given up.
    timeout: float

    @property
    def command(self) -> list[str]:
        """Program and arguments."""
        if self.simulator.name == "icarus":
            library = str(cocotb_config.lib_name_path("vpi", "icarus"))
            return ["vvp", "-m", library, str(self.program), *self.plusargs, "-fst"]
        seed = self.seed % 2147483646 + 1
        return [str(self.program), "+verilator+rand+reset+2", f"+verilator+seed+{seed}", *self.plusargs]


class SessionRun:
    """An `invocation` running in `folder`, which holds ``setup.json``, ``mem`` and the image files.

    Leaving the ``with`` block ends it. The run has failed when the process was stopped or crashed, wrote no results,
    ran another set of tests than the module has, or complained about a memory image. A failing test is in its case
    instead.
    """

    def __init__(self, invocation: Invocation, folder: Path) -> None:
        self.folder, self.invocation = folder, invocation
        self._results = folder / "results.xml"
        variables = _cocotb_environment(invocation.module, self._results, invocation.seed)
        environment = {**invocation.simulator.full_environment(), **variables}
        self.process = Running(invocation.command, folder, environment, invocation.timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.process.stop()

    @property
    def elapsed(self) -> float:
        """Wall seconds since the start."""
        return self.process.elapsed

    def finish(self) -> Session:
        """Wait for the end and read what the run left. Raises ToolError when no Python got going in the simulator."""
        outcome = self.process.wait()
        cases = _read_results(self._results)
        return Session(cases=cases or (), trouble=_trouble(self.invocation, outcome, cases), folder=self.folder)


def _cocotb_environment(module: str, results: Path, seed: int) -> Mapping[str, str]:
    paths = [str(resource_dir("sim")), *(entry for entry in sys.path if entry)]
    return {
        "GPI_USERS": f"{shared_python()};{_entry_point()}",
        "PYGPI_PYTHON_BIN": sys.executable,
        "PYTHONPATH": ":".join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "COCOTB_TOPLEVEL": TOP,
        "COCOTB_TEST_MODULES": module,
        "TOPLEVEL_LANG": "verilog",
        "COCOTB_RESULTS_FILE": str(results),
        "COCOTB_RANDOM_SEED": str(seed),
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "COCOTB_LOG_LEVEL": "WARNING",
        "COCOTB_ANSI_OUTPUT": "0",
        # Asserts of all modules made to talk, at every start: longer than a small design takes. Ours talk anyway.
        "COCOTB_REWRITE_ASSERTION_FILES": "",
    }


def _entry_point() -> str:
    """What `cocotb_tools.config.pygpi_entry_point` says, for which that imports all of cocotb, pytest and asyncio."""
    found = sorted(Path(cocotb_config.libs_dir).parent.glob(f"simulator*{EXTENSION_SUFFIXES[0]}"))
    return f"{found[0].resolve()},initialize" if found else cocotb_config.pygpi_entry_point()


def _read_results(results: Path) -> tuple[CocotbCase, ...] | None:
    """Test cases of cocotb's results file; None when it is absent or cut short."""
    try:
        root = ET.parse(results).getroot()
    except (OSError, ET.ParseError):
        return None
    return tuple(
        CocotbCase(name=case.get("name", "?"), seconds=float(case.get("time", 0)), failure=_failure(case))
        for case in root.iter("testcase")
    )


def _failure(case: ET.Element) -> str | None:
    for kind in ("failure", "error", "skipped"):
        if (found := case.find(kind)) is not None:
            text = found.get("message") or found.get("error_msg") or found.text or ""
            return text.strip() or f"the test was a {kind}"
    return None


def _where(folder: Path) -> str:
    """In which test, and about which cycle, a session that was stopped in `folder` stood."""
    words = ""
    with suppress(OSError, ValueError):
        words += f" the test {json.loads((folder / RUNNING).read_text())!r}"
    with suppress(OSError, IndexError, ValueError):
        last = (folder / EVENTS).read_text().rpartition("\n")[0].rpartition("\n")[2].split()
        words += f", whose event log ends in cycle {int(last[1])}" if last[0] != "M" else ""
    return words


def _trouble(invocation: Invocation, outcome: Outcome, cases: Sequence[CocotbCase] | None) -> str | None:
    returncode, tail = outcome.returncode, outcome.tail()
    for line in outcome.text().splitlines():
        if any(word in line for word in LOAD_TROUBLE):
            raise ToolError(
                f"the simulator could not load the test bench: {line.strip()}; `hwprm doctor` says what is missing"
            )
        if any(word in line for word in MEMORY_TROUBLE):
            return f"a memory image is missing or of the wrong length: {line.strip()}"
    if returncode is None:
        where = _where(outcome.log.parent)
        return (
            f"the simulator was stopped after {invocation.timeout:g} s without finishing{where}; "
            f"the end of its output:\n{tail}"
        )
    failing = any(case.failure for case in cases or ())
    if not cases:
        return f"the simulator ended (exit code {returncode}) without test results; the end of its output:\n{tail}"
    if returncode != 0 and not failing:
        return f"the simulator ended with exit code {returncode}; the end of its output:\n{tail}"
    if sorted(case.name for case in cases) != sorted(invocation.tests):
        return f"the simulator ran the tests {[case.name for case in cases]}, not {list(invocation.tests)}"
    return None
