"""The README's Python example runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_picture_and_the_commands_stand_at_the_top() -> None:
    lines = [line.strip() for line in README.read_text().splitlines() if line.strip()]
    assert lines[1].startswith("![") and lines[1].endswith("(docs/picture.svg)")
    assert lines[2].startswith("make demo ")
    assert lines[3].startswith("make test ")


def test_it_is_short() -> None:
    """Whoever reads it to the end knows what there is; details are in docs/."""
    assert len(README.read_bytes()) < 9000


@pytest.mark.sim
@pytest.mark.slow
def test_example(tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(code) == 1
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code[0]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *_, predicted, simulated = done.stdout.split()
    assert predicted == simulated


def test_results_are_those_measured() -> None:
    results = (README.parent / "docs" / "results.md").read_text()
    rows = re.search(r"## Measured\n.*?\|---\|---\|\n(.*?)\n\n", results, re.DOTALL)
    assert rows
    measured = (README.parent / "benchmarks" / "README.md").read_text()
    cells = [row.split(" | ")[1].removesuffix(" |") for row in rows[1].splitlines()]
    assert len(cells) >= 10
    for cell in cells:
        assert cell in measured, f"{cell}: quote the table of benchmarks/README.md"


def test_linked_files_exist() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (README.parent / link).exists(), link
