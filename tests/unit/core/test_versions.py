"""The tested matrix: one file, and how it is compared with what is installed."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

import pytest

from hwprm.core import libpython, versions
from hwprm.core.resources import constraints_file
from hwprm.core.versions import State, survey
from tests.conftest import Run

ROOT = Path(__file__).resolve().parents[3]


def _file(folder: Path, text: str) -> Path:
    path = folder / "constraints.txt"
    path.write_text(text)
    return path


def test_this_machine_has_what_is_needed() -> None:
    tools = {tool.name: tool for tool in survey()}
    assert not [tool.name for tool in tools.values() if tool.state is State.BAD]
    assert {"python", "c++", "verilator", "cocotb", "amaranth", "torch", "iverilog"} <= set(tools)


def test_each_tool_is_told_once() -> None:
    names = [tool.name for tool in survey()]
    assert len(names) == len(set(names))


def test_every_dependency_is_pinned_inside_its_range() -> None:
    lines = re.findall(r"^([\w.-]+)==(\S+)$", constraints_file().read_text(), re.MULTILINE)
    pins = {versions._normal(name): version for name, version in lines}
    for requirement in metadata.requires("hwprm") or ():
        name = re.match(r"[\w.-]+", requirement)
        assert name
        assert versions._normal(name[0]) in pins, f"{name[0]} is not in constraints.txt"
        least = re.search(r">=([\d.]+)", requirement)
        if least:
            assert versions._version(pins[versions._normal(name[0])]) >= versions._version(least[1]), requirement


def test_a_name_is_found_however_it_is_spelt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: ["some-package>=0.4"])
    monkeypatch.setattr(metadata, "version", lambda name: "0.5")
    tool = next(tool for tool in survey(_file(tmp_path, "Some_Package==0.5\n")) if tool.name == "some-package")
    assert (tool.tested, tool.state) == ("0.5", State.TESTED)


def test_torch_is_the_release_of_the_contract() -> None:
    assert "torch==2.13.0\n" in constraints_file().read_text()


def test_other_version_is_untested(tmp_path: Path) -> None:
    tools = {tool.name: tool for tool in survey(_file(tmp_path, "numpy==1.99.0\n"))}
    numpy = tools["numpy"]
    assert (numpy.state, numpy.tested, numpy.mend) == (State.UNTESTED, "1.99.0", "pip install numpy==1.99.0")


@pytest.mark.parametrize(("name", "state"), [("nonesuch", State.BAD), ("nonesuch?", State.OPTIONAL)])
def test_missing_program(tmp_path: Path, name: str, state: State) -> None:
    tool = survey(_file(tmp_path, f"#tool {name}>=1.2: for nothing\n"))[0]
    assert (tool.name, tool.found, tool.state) == ("nonesuch", "-", state)
    assert tool.mend == "install nonesuch 1.2 or newer with the system's package manager (for nothing)"


def test_python_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    assert next(tool for tool in survey() if tool.name == "libpython").state is State.TESTED
    monkeypatch.setattr(libpython, "_found", lambda: None)
    tool = next(tool for tool in survey() if tool.name == "libpython")
    assert (tool.found, tool.state) == ("-", State.BAD) and "apt-get install libpython3-dev" in tool.mend


def test_old_program(tmp_path: Path) -> None:
    assert survey(_file(tmp_path, "#tool python>=99.0: everything\n"))[0].state is State.BAD


def test_doctor_fails_when_something_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run("doctor").exit_code == 0
    file = _file(tmp_path, "#tool nonesuch>=1: for nothing\n")
    monkeypatch.setattr(versions, "constraints_file", lambda: file)
    result = run("doctor", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["good"] is False
    assert "missing or too old: nonesuch" in result.stderr


def test_what_only_boards_need_may_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "pyserial":
            raise metadata.PackageNotFoundError
        return "1.0"

    monkeypatch.setattr(metadata, "requires", lambda name: ['pyserial>=3.3; extra == "board"'])
    monkeypatch.setattr(metadata, "version", version)
    (tool,) = (tool for tool in survey(_file(tmp_path, "pyserial==3.5\n")) if tool.name != "libpython")
    assert (tool.state, tool.mend) == (State.OPTIONAL, "pip install pyserial==3.5 (needed by `hwprm run`)")


def test_no_registry_is_named() -> None:
    for name in ("Makefile", "constraints.txt", "pyproject.toml", ".ci/run", "README.md"):
        assert "index-url =" not in (ROOT / name).read_text().lower()
        assert not re.search(r"https?://(?!www\.apache\.org)", (ROOT / name).read_text()), name


def test_every_file_counts_and_its_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.py").write_text("x = 1\n")
    first = versions.digest_of_files(tmp_path)
    (tmp_path / "a" / "__pycache__").mkdir()
    (tmp_path / "a" / "__pycache__" / "one.pyc").write_text("compiled")
    assert versions.digest_of_files(tmp_path) == first
    (tmp_path / "a" / "one.py").rename(tmp_path / "a" / "two.py")
    renamed = versions.digest_of_files(tmp_path)
    (tmp_path / "a" / "two.py").write_text("x = 2\n")
    assert len({first, renamed, versions.digest_of_files(tmp_path)}) == 3
    assert versions.package_digest() == versions.digest_of_files(ROOT / "hwprm")
