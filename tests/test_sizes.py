"""How large things may be: what is longer, or takes more, is two things."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "hwprm"

#: Lines of a file, of a function (of `elaborate`, which wires a block, more), and parameters beside self and cls.
FILE, FUNCTION, ELABORATE, PARAMETERS = 400, 60, 100, 6
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if "_data" not in path.parts
}


def _large(module: str) -> Iterator[tuple[str, str]]:
    """What of `module` is too large, and how large."""
    text = FILES[module].read_text()
    if (lines := len(text.splitlines())) > FILE:
        yield module, f"{lines} lines, at most {FILE}"
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        where = f"{module}:{node.name}"
        most = ELABORATE if node.name == "elaborate" else FUNCTION
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > most:
            yield where, f"{lines} lines, at most {most}"
        if (count := _parameters(node.args)) > PARAMETERS:
            yield where, f"{count} parameters, at most {PARAMETERS}"


def _parameters(args: ast.arguments) -> int:
    names = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg) if arg]
    return len([name for name in names if name not in ("self", "cls")])


@pytest.mark.parametrize("module", FILES)
def test_nothing_is_larger_than_a_reader_can_hold(module: str) -> None:
    assert [f"{where}: {what}" for where, what in _large(module)] == []


def test_the_whole_package_is_looked_at() -> None:
    assert len(FILES) > 250
