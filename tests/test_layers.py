"""The import table of docs/architecture.md, held by reading every import statement."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "hwprm"

VOCABULARY = {"errors", "numerics", "graph", "intnet", "config", "model", "plan", "resources", "folders"}
TORCH_TOWER = {"nets", "train", "frontend", "prune", "quantize"}
BUNDLE = {"bundle", "manifest"}
TOP = {"", "__main__", "api", "cli", "pipeline", "report", "matrix", "sources"}

#: Room -> (rooms of hwprm, distributions outside the standard library) that it may import, beside itself.
ALLOWED: dict[str, tuple[set[str], set[str]]] = {
    **{room: (VOCABULARY, {"numpy", "safetensors"}) for room in VOCABULARY},
    "data": (VOCABULARY, {"numpy", "PIL"}),
    **{room: (VOCABULARY | TORCH_TOWER | {"data"}, {"numpy", "safetensors", "torch"}) for room in TORCH_TOWER},
    "isa": (VOCABULARY, set()),
    "compile": (VOCABULARY | {"isa"}, {"numpy"}),
    "gateware": (VOCABULARY | {"isa"}, {"amaranth"}),
    **{room: (VOCABULARY | BUNDLE, {"numpy"}) for room in BUNDLE},
    "emit": (VOCABULARY | BUNDLE | {"isa", "compile", "gateware", "verify"}, {"numpy", "amaranth", "jinja2"}),
    "verify": (
        VOCABULARY | BUNDLE | {"isa", "compile"},
        {"numpy", "cocotb", "cocotb_tools", "cocotbext", "find_libpython"},
    ),
}


def _room(path: Path) -> str:
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem.replace("__init__", "")


def _imports(path: Path) -> set[str]:
    """Full names of everything that the file imports anywhere, in functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            names.add(node.module or "")
            if node.module == "hwprm":
                names |= {f"hwprm.{alias.name}" for alias in node.names}
    return names


FILES = sorted(path for path in PACKAGE.rglob("*.py") if "_data" not in path.parts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_keep_to_the_table(path: Path) -> None:
    room = _room(path)
    if room in TOP:
        return
    assert room in ALLOWED, f"{room} is in no row of the table; add it there and in docs/architecture.md"
    rooms, outside = ALLOWED[room]
    for name in _imports(path):
        first, _, rest = name.partition(".")
        if first == "hwprm":
            target = rest.partition(".")[0]
            assert not target or target == room or target in rooms, f"{path}: {room} must not import {name}"
        elif first not in sys.stdlib_module_names:
            assert first in outside, f"{path}: {room} must not import {name}"


def test_table_in_the_documentation_names_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    there = {_room(path) for path in FILES} - {""}
    assert there <= documented, f"not in docs/architecture.md: {sorted(there - documented)}"


@pytest.mark.parametrize("names", ["hwprm", "hwprm.compile, hwprm.isa", "hwprm.gateware, hwprm.emit, hwprm.verify"])
def test_gate_tower_imports_without_torch(names: str) -> None:
    code = f"import sys, {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_testbenches_import_no_torch() -> None:
    for path in (ROOT / "sim").glob("*.py"):
        firsts = {name.partition(".")[0] for name in _imports(path)}
        assert not firsts & {"torch"}, path
