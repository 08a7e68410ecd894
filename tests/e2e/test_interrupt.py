"""Ctrl-C leaves a state that the same command goes on from, to the same result."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "hwprm.cli", "train", "--epochs", "3", "--batch", "256", "--augment", "none"]


def _train(folder: Path, out: str) -> list[str]:
    return [*COMMAND, "-o", str(folder / out)]


def _listen() -> None:
    """Background jobs of a shell are started deaf to Ctrl-C, and so would be what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
def test_interrupted_training_goes_on(tmp_path: Path) -> None:
    process = subprocess.Popen(_train(tmp_path, "m"), stderr=subprocess.PIPE, text=True, preexec_fn=_listen)
    limit = time.monotonic() + 120
    while not list(tmp_path.glob(".m.resume-*/*.json")):
        assert process.poll() is None, "training ended before it could be interrupted"
        assert time.monotonic() < limit, "no checkpoint appeared"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    words = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "interrupted, stopped in epoch " in words
    assert "; continue with: hwprm train --epochs 3" in words
    assert not (tmp_path / "m").exists()

    subprocess.run(_train(tmp_path, "m"), check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == ["m"], "the checkpoint was not cleaned up"
    subprocess.run(_train(tmp_path, "straight"), check=True, capture_output=True)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("m", "straight")]
    assert weights[0] == weights[1], "a resumed run is not the run that was never stopped"
