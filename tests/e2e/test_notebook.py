"""examples/tutorial.ipynb: its cells run from the first to the last, as a notebook runs them."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import hwprm

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "tutorial.ipynb"

#: Runs the cells of a list in one namespace, and prints what each shows: the value of its last line.
RUN = """
import ast, json, sys
names = {}
for text in json.load(sys.stdin):
    tree = ast.parse(text)
    shown = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if shown:
        value = eval(compile(ast.Expression(shown.value), "cell", "eval"), names)
        print(repr(value) if not hasattr(value, "_repr_html_") or value._repr_html_().strip() else "shows nothing")
"""


def _cells() -> list[str]:
    notebook = json.loads(NOTEBOOK.read_text())
    assert notebook["nbformat"] == 4
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells), "committed without results"
    return ["".join(cell["source"]) for cell in cells]


def test_its_cells_name_what_there_is() -> None:
    used = {
        node.attr
        for cell in _cells()
        for node in ast.walk(ast.parse(cell))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "hwprm"
    }
    assert {"train", "prune", "quantize", "explore", "compile", "verify"} <= used <= set(hwprm.__all__)


@pytest.mark.slow
@pytest.mark.sim
def test_it_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN], input=json.dumps(_cells()), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    assert shown[0] == "[]"
    assert [line.partition(" ")[0] for line in shown[1:]] == [
        *("<Model", "<Model", "<IntegerNetwork", "<Study", "<Bundle", "<VerifyReport"),
    ]
    assert "PASS" in shown[-1] and " 0 mismatches" in shown[-1]
