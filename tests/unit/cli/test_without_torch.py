"""Without torch, integer networks and bundles go all the way; for the rest every verb says what to install."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import hwprm
from hwprm.cli.app import VERBS

#: Runs command lines, a JSON list of lists, in one process without torch; prints exit code and error of each.
ALONE = """
import json, sys
sys.modules["torch"] = None
from typer.testing import CliRunner
from hwprm.cli.app import app, register
register()
found = [CliRunner().invoke(app, words) for words in json.loads(sys.argv[1])]
print(json.dumps([(result.exit_code, result.stderr) for result in found]))
"""

#: Verbs that compute with floats, and what they are given.
TRAINING = {
    "demo": "demo",
    "load": "load lenet5 DATA",
    "train": "train lenet5 --data DATA",
    "widths": "widths MODEL --data DATA",
    "prune": "prune MODEL --data DATA",
    "quantize": "quantize MODEL --data DATA",
    "explore": "explore MODEL --data DATA --rows 2,3",
    "repro": "repro lenet5-all-39x",
    "check": "check MODEL",
}
#: Verbs that do without torch as long as they are given integers.
MIXED = {
    "compile": "compile MODEL --data DATA",
    "estimate": "estimate MODEL --data DATA",
    "report": "report MODEL --data DATA --sensitivity",
}


def _without_torch(folder: Path, *lines: str, **names: Path) -> list[tuple[int, str]]:
    words = [[str(names.get(word, word)) for word in line.split()] for line in lines]
    command = [sys.executable, "-c", ALONE, json.dumps(words)]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return [(code, error) for code, error in json.loads(done.stdout)]


@pytest.mark.sim
def test_an_integer_network_goes_all_the_way(tmp_path: Path, tiny_model: Path, tiny_data: Path, work: Path) -> None:
    hwprm.quantize(tiny_model, tiny_data).save(tmp_path / "integer")
    found = _without_torch(
        tmp_path,
        "compile integer --data DATA --rows 2 --cols 2 -o bundle",
        "verify bundle --modes bulk --sim icarus --images 1 --work WORK",
        "estimate integer --rows 4",
        "estimate bundle",
        "report bundle --html page.html",
        "report integer",
        "export MODEL -o exported",
        "repro --list",
        "doctor",
        DATA=tiny_data,
        MODEL=tiny_model,
        WORK=work,
    )
    assert [code for code, _ in found] == [0] * len(found), found
    assert (tmp_path / "page.html").is_file() and (tmp_path / "exported" / "plan.json").is_file()


def test_what_needs_torch_says_so(tmp_path: Path, tiny_model: Path, tiny_data: Path) -> None:
    assert set(TRAINING) | set(MIXED) | {"export", "verify", "synth", "pnr", "board", "run", "doctor"} == set(VERBS)
    lines = TRAINING | MIXED
    for verb, (code, error) in zip(
        lines, _without_torch(tmp_path, *lines.values(), MODEL=tiny_model, DATA=tiny_data), strict=True
    ):
        last = error.splitlines()[-1]
        said = "error: this needs torch, which is not installed; pip install 'hwprm[train]'"
        assert (verb, code, last) == (verb, 3, said), error
    assert [path.name for path in tmp_path.iterdir()] == [tiny_model.name], "something was half-written"


#: What a program of a user's calls, and prints the kind and the text of the error.
CALLS = """
import sys
sys.modules["torch"] = None
import hwprm
model = hwprm.Model.load(sys.argv[1])
for call in (
    lambda: hwprm.train("lenet5"), lambda: hwprm.prune(model), lambda: hwprm.quantize(model), lambda: hwprm.demo,
    lambda: hwprm.compile(model, out="bundle"), lambda: hwprm.explore, lambda: hwprm.Admm(None, compression=4),
    model.to_torch,
):
    try:
        print("no error", call())
    except Exception as error:
        print(type(error).__name__, error.exit_code, error)
"""


def test_functions_say_so_too(tmp_path: Path, tiny_model: Path) -> None:
    command = [sys.executable, "-c", CALLS, str(tiny_model)]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    said = "ToolError 3 this needs torch, which is not installed; pip install 'hwprm[train]'"
    assert done.stdout.splitlines() == [said] * 8
