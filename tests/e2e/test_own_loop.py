"""examples/own_loop.py runs as it stands, on few images."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_prunes_what_its_own_loop_trains() -> None:
    words = [sys.executable, str(ROOT / "examples" / "own_loop.py"), "300", "2"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert len(re.findall(r"^epoch \d+, loss .* then .*primal\.", said, re.MULTILINE)) == 2
    found = re.search(r"<Model Sequential: compact, 4 layers, ([\d,]+) of ([\d,]+) weights", said)
    assert found is not None, said
    left = int(found[1].replace(",", ""))
    assert left < 32_716 / 3.5, "the dense network has 32,716 weights"
    percent = re.search(r"as a torch module: ([\d.]+) %", said)
    assert percent is not None and float(percent[1]) > 40, said
