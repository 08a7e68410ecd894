"""Reports need no torch: whoever has a bundle, an integer network or a model can look at it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.emission import emit_bundle
from tests.support.networks import small_lenet


@pytest.fixture
def folders(tmp_path: Path, tiny_model: Path) -> dict[str, Path]:
    net = small_lenet()
    images = np.random.default_rng(0).integers(-128, 128, (2, *net.input.shape))
    emit_bundle(compile_network(net, ArrayConfig(rows=2, cols=2)), images, None, tmp_path / "bundle")
    (tmp_path / "net").mkdir()
    net.save(tmp_path / "net")
    return {"model": tiny_model, "network": tmp_path / "net", "bundle": tmp_path / "bundle"}


def test_import_loads_no_torch() -> None:
    code = "import sys, hwprm.reporting, hwprm.reporting.page; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("kind", ["model", "network", "bundle"])
def test_report_and_page(folders: dict[str, Path], kind: str, tmp_path: Path) -> None:
    arguments = ["hwprm", "report", str(folders[kind]), "--html", str(tmp_path / "page.html")]
    code = f"import sys; sys.modules['torch'] = None; sys.argv = {arguments!r}; from hwprm.cli.app import main; main()"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout and (tmp_path / "page.html").is_file()
