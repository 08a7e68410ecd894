"""The house has one order: every import points to an earlier place of `ORDER`. Held by reading every import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "hwprm"

#: Every place of the package in the order of the flow, what stands on nothing first. A module belongs to the longest
#: place that its name starts with; the ``__init__`` of a folder comes after all that the folder holds.
ORDER = (
    *("core", "config", "graph.rules", "graph.ops", "graph", "intnet", "data", "model", "nets", "training"),
    *("pruning.accounting", "pruning.statistics", "pruning.paths", "pruning.compaction", "pruning.channels"),
    *("pruning.prm", "pruning.admm", "pruning.shrinking", "pruning.widths", "pruning"),
    *("quantization.lowering", "quantization", "frontend"),
    *("isa", "testbench", "compiler.layout", "compiler.encoding", "compiler.timing", "compiler.passes", "compiler"),
    *("gateware.primitives", "gateware.memory", "gateware.core", "gateware.external", "gateware.host", "gateware"),
    *("bundle", "attached", "targets.flow", "targets.families", "targets.boards", "targets", "emission"),
    *("verification.coverage", "verification.results", "verification.comparison", "verification.simulators"),
    "verification.modes",
    *("verification", "sources"),
    *("reporting.facts", "reporting.curves", "reporting.silicon", "reporting.study"),
    *("reporting.tables", "reporting.page", "reporting.record", "reporting"),
    *("api", "pipeline", "exploration", "cli", "__main__", ""),
)
#: These never meet, so that whatever stands between them runs without torch, and gateware cannot peek at the graph.
TORCH_TOWER = {"nets", "training", "pruning", "quantization", "frontend"}
GATE_TOWER = {"isa", "testbench", "compiler", "gateware", "bundle", "attached", "targets", "emission", "verification"}
#: What each room may import from outside the standard library; nothing where it is not named.
OUTSIDE: dict[str, set[str]] = {
    **{room: {"numpy", "safetensors"} for room in ("graph", "intnet", "model", "compiler", "bundle", "sources")},
    **{room: {"numpy", "safetensors", "torch"} for room in TORCH_TOWER},
    "core": {"numpy", "safetensors", "find_libpython"},
    "frontend": {"numpy", "safetensors", "torch", "onnx"},
    "model": {"numpy", "safetensors", "torch"},  # torch for types: `to_torch` looks up what it needs
    "config": {"annotated_doc", "annotated_types", "pydantic"},
    "data": {"numpy", "PIL"},
    "gateware": {"amaranth"},
    "attached": {"numpy", "serial"},
    "targets": {"edalize"},
    "emission": {"numpy", "amaranth", "jinja2"},
    "testbench": {"numpy", "cocotb", "cocotbext"},
    "verification": {"numpy", "cocotb_tools"},
    "reporting": {"numpy", "jinja2", "markupsafe", "matplotlib", "rich"},
    "api": {"torch"},
    "exploration": {"numpy", "optuna", "dask", "distributed"},
    "cli": {"click", "rich", "typer", "torch"},
}
#: Where an import may stand inside a function: the start of the command line, and what must not load torch before it is
#: needed.
DOORS = {"cli", "api", "sources"}

FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if "_data" not in path.parts
}


def _room(name: str) -> str:
    return name.partition(".")[0]


def _place(name: str) -> int:
    """Rank of the module `name`: that of the longest place which it is or lies in."""
    fits = [place for place in ORDER if name == place or name.startswith(f"{place}.")]
    assert fits, f"{name} is in no place of ORDER; add it there and in docs/architecture.md"
    return ORDER.index(max(fits, key=len))


@cache
def _imports(path: Path) -> frozenset[str]:
    """Full names of everything that the file imports anywhere, in functions and for types too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            base = node.module or ""
            both = {f"{base}.{alias.name}" for alias in node.names}
            modules = {name for name in both if name.removeprefix("hwprm.") in FILES}
            names |= modules | ({base} if modules != both else set())
    return frozenset(names)


def _inside(name: str) -> set[str]:
    """Modules of the package that `name` imports."""
    return {full.removeprefix("hwprm.") for full in _imports(FILES[name]) if full.startswith("hwprm.")}


@pytest.mark.parametrize("name", [name for name in FILES if name])
def test_imports_point_to_earlier_places(name: str) -> None:
    for target in _inside(name):
        assert _place(target) <= _place(name), f"{name} must not import {target}, which comes later"
        towers = {room in TORCH_TOWER for room in (_room(name), _room(target))}
        if {_room(name), _room(target)} <= TORCH_TOWER | GATE_TOWER:
            assert len(towers) == 1, f"{name} must not import {target}: the towers never meet"
    for full in _imports(FILES[name]):
        first = full.partition(".")[0]
        if first != "hwprm" and first not in sys.stdlib_module_names:
            assert first in OUTSIDE.get(_room(name), set()), f"{name} must not import {full}"


def test_no_module_imports_itself_in_a_circle() -> None:
    try:
        list(TopologicalSorter({name: _inside(name) - {name} for name in FILES if name}).static_order())
    except CycleError as error:
        pytest.fail(f"modules that import one another: {' -> '.join(error.args[1])}")


def test_every_place_of_the_order_is_there() -> None:
    gone = [place for place in ORDER if not any(name == place or name.startswith(f"{place}.") for name in FILES)]
    assert not [place for place in gone if place not in ("", "__main__")]


@pytest.mark.parametrize("name", [name for name in FILES if name and _room(name) not in DOORS])
def test_imports_stand_at_the_top_but_at_the_doors(name: str) -> None:
    tree = ast.parse(FILES[name].read_text())
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                # Libraries that are optional may wait; modules of the package may not.
                module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
                assert not module.startswith("hwprm"), f"{name}: {function.name} imports {module}; move it to the top"


def test_documentation_names_every_room_in_order() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    documented = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    rooms = list(dict.fromkeys(_room(place) for place in ORDER if place))
    assert documented[: len(rooms)] == rooms


@pytest.mark.parametrize(
    "names",
    ["hwprm", "hwprm.compiler, hwprm.isa", "hwprm.gateware, hwprm.verification", "hwprm.exploration.measure"],
)
def test_gate_tower_imports_without_torch(names: str) -> None:
    code = f"import sys, {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_emission_loads_no_simulator() -> None:
    code = "import sys, hwprm.emission; sys.exit(bool({'cocotb', 'cocotb_tools', 'torch'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_testbenches_import_no_torch() -> None:
    for path in (ROOT / "sim").glob("*.py"):
        firsts = {name.partition(".")[0] for name in _imports(path)}
        assert not firsts & {"torch"}, path
