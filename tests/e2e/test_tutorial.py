"""examples/own_network.py runs as it stands, and docs/tutorial.md quotes it."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from hwprm.model import Model

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "own_network.py"
STEPS = ["network", "data", "train", "prune", "report", "fine-tune", "quantise", "compile", "verify"]


def _steps() -> dict[str, str]:
    """Code of each step by its name, as far as the next step or what holds the steps together."""
    found = {}
    for part in re.split(r"^ *# step: ", EXAMPLE.read_text(), flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        code = re.split(r"^(?:def main|if __name__)", body, flags=re.MULTILINE)[0]
        found[name] = textwrap.dedent(code).strip("\n")
    return found


def test_the_tutorial_quotes_the_example() -> None:
    text = (ROOT / "docs" / "tutorial.md").read_text()
    quoted = re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)
    assert list(_steps()) == STEPS
    assert quoted == list(_steps().values())
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (ROOT / "docs" / link).exists(), link


@pytest.mark.sim
@pytest.mark.slow
def test_example(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    words = [sys.executable, "-W", "error", str(EXAMPLE), str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert ", 0 mismatches" in said
    dense, now = re.findall(r"cycles per image: (\d+) dense, (\d+) now", said)[0]
    assert re.findall(r"cycles per image: (\d+) predicted, (\d+) simulated", said) == [(now, now)]
    assert int(dense) > 3 * int(now)
    assert float(re.findall(r"path_removal: +\d+ weights, ([\d.]+)x", said)[0]) > 6
    tuned = Model.load(folder / "tuned")
    assert tuned.meta["accuracy"]["compact"] > 90
    stages = {entry["stage"] for entry in tuned.meta["log"]}
    assert stages == {"train", "admm"}
    assert "ADMM residuals" in (folder / "small.html").read_text()
