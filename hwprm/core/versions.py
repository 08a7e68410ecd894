"""Versions: of the tools that hwprm stands on, as installed and as tested, and of hwprm itself, by its files."""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import metadata
from pathlib import Path

from hwprm.core.errors import ToolError
from hwprm.core.libpython import MEND, shared_python
from hwprm.core.resources import constraints_file

__all__ = ["State", "Tool", "digest_of_files", "package_digest", "survey"]

Version = tuple[int, ...]

#: Packages of extras that a user may lack, and what they are for.
OPTIONAL = {"torch": "needed to train, prune and quantise", "pyserial": "needed by `hwprm run`"}


class State(StrEnum):
    """How an installed tool stands to the tested one."""

    TESTED = "tested"  #: the pinned version, or at least the tested minimum
    UNTESTED = "untested"  #: another version than the pinned one, inside the range that hwprm asks for
    OPTIONAL = "absent"  #: missing, and only some verbs need it
    BAD = "missing or too old"  #: missing or below what hwprm needs


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One row of `hwprm doctor`."""

    name: str
    found: str  #: installed version, or "-"
    tested: str  #: pinned version, or the minimum with ">="
    state: State
    mend: str = ""


@cache
def package_digest() -> str:
    """SHA-256 of the files of the package, by name: two machines with the same one compute the same."""
    return digest_of_files(Path(__file__).resolve().parent.parent)


def digest_of_files(root: Path) -> str:
    """SHA-256 of the names and contents of all files below `root`, but for what Python compiles."""
    total = hashlib.sha256()
    for file in sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        content = file.read_bytes()
        total.update(f"{file.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return total.hexdigest()


def survey(constraints: Path | None = None) -> tuple[Tool, ...]:
    """Every program and every Python package that hwprm itself names, against the tested matrix."""
    lines = (constraints or constraints_file()).read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    pins = {_normal(name): version for name, version in pairs}
    programs = tuple(_program(line) for line in lines if line.startswith("#tool "))
    return (*programs, _library(), *_packages(pins))


def _library() -> Tool:
    try:
        found, mend = Path(shared_python()).name, ""
    except ToolError:
        found, mend = "-", f"simulators load Python as a shared library; {MEND}"
    state = State.BAD if mend else State.TESTED
    return Tool(name="libpython", found=found, tested="there", state=state, mend=mend)


def _normal(name: str) -> str:
    """A package's name as PyPI compares names: metadata may spell it otherwise than those who ask for it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _program(line: str) -> Tool:
    match = re.fullmatch(r"#tool (?P<name>[^?>]+)(?P<optional>\??)>=(?P<least>\S+): (?P<why>.*)", line)
    assert match, f"constraints.txt: {line!r} is no #tool line"
    name, least = match["name"], match["least"]
    found = _program_version(name)
    good = found is not None and _version(found) >= _version(least)
    state = State.TESTED if good else State.OPTIONAL if match["optional"] and found is None else State.BAD
    mend = "" if good else f"install {name} {least} or newer with the system's package manager ({match['why']})"
    return Tool(name=name, found=found or "-", tested=f">={least}", state=state, mend=mend)


def _packages(pins: dict[str, str]) -> Iterator[Tool]:
    # An extra may repeat a package of another one: the same words but for the extra's name.
    for requirement in {line.partition(";")[0]: line for line in metadata.requires("hwprm") or ()}.values():
        match = re.match(r"[\w.-]+", requirement)
        assert match, requirement
        name = match[0]
        optional = "extra ==" in requirement
        if optional and name not in OPTIONAL:
            continue  # developers' tools, and what the silicon survey lists
        tested = pins.get(_normal(name), "?")
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield _absent(name, tested, optional=optional)
            continue
        least = re.search(r">=([\w.]+)", requirement)
        below = re.search(r"<([\w.]+)", requirement)
        good = (not least or _version(found) >= _version(least[1])) and (
            not below or _version(found) < _version(below[1])
        )
        same = found.partition("+")[0] == tested
        state = State.TESTED if same else State.UNTESTED if good else State.BAD
        mend = "" if same else f"pip install {name}=={tested}"
        yield Tool(name=name, found=found, tested=tested, state=state, mend=mend)


def _absent(name: str, tested: str, *, optional: bool) -> Tool:
    why = f" ({OPTIONAL[name]})" if optional else ""
    mend = f"pip install {name}=={tested}{why}"
    return Tool(name=name, found="-", tested=tested, state=State.OPTIONAL if optional else State.BAD, mend=mend)


def _program_version(name: str) -> str | None:
    """First number with a dot that the program prints about itself; None when it is not there."""
    if name == "python":
        return platform.python_version()
    path = shutil.which(name)
    if path is None:
        return None
    # Icarus answers -V and starts a compilation on anything else.
    flag = "-V" if name == "iverilog" else "--version"
    try:
        done = subprocess.run([path, flag], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"v?(\d+(?:\.\d+)+)", done.stdout + done.stderr)
    return match[1] if match else None


def _version(text: str) -> Version:
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3])
