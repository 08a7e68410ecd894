"""A user's own network: .pt2 and .npz in, a bundle out, verified by commands alone."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.conftest import Run

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def pt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """conv with stride and padding, batch norm, 3x3 pool, two linear layers; one filter and one column are zero."""
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(1, 5, 3, stride=1, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(45, 7),
        nn.ReLU(),
        nn.Linear(7, 3),
    )
    with torch.no_grad():
        net[5].weight[2] = 0
        net[5].bias[2] = 0
        net[5].weight[:, 11] = 0
    path = tmp_path_factory.mktemp("pt2") / "net.pt2"
    torch.export.save(torch.export.export(net.eval(), (torch.zeros(1, 1, 8, 8),)), path)
    return path


@pytest.fixture(scope="module")
def bundle(pt2: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from typer.testing import CliRunner

    from hwprm.cli.app import app, register

    register()
    out = tmp_path_factory.mktemp("bundle") / "rtl"
    words = ["compile", str(pt2), "--data", str(tiny_data), "--rows", "3", "--cols", "2"]
    words += ["--weight-bits", "6", "--act-bits", "7", "-o", str(out), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["net"] == "net"
    array = facts["array"]
    assert [array[key] for key in ("rows", "cols", "weight_bits", "act_bits")] == [3, 2, 6, 7]
    return out


def test_check_finds_nothing(pt2: Path, run: Run) -> None:
    result = run("check", pt2, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["good"] is True


def test_zero_rows_and_columns_are_gone(bundle: Path) -> None:
    network = json.loads((bundle / "network" / "network.json").read_text())
    shapes = {tensor["name"]: tensor["shape"] for tensor in network["tensors"]}
    assert sorted(shapes.values())[-1] != [7, 1, 1]
    assert [6, 1, 1] in shapes.values(), "the blank neuron is still there"


@pytest.mark.slow
def test_verify_under_icarus(bundle: Path, run: Run, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    result = run("verify", bundle, "--json", sim="icarus", junit=junit, work=tmp_path / "work")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["verify"]["ok"] is True
    assert facts["verify"]["values_compared"] > 0
    assert facts["simulated"] == facts["predicted"]
    assert ET.parse(junit).getroot().get("failures") == "0"


@pytest.mark.slow
def test_planted_fault_is_found(bundle: Path, run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(bundle, broken)
    # The last word holds the last logit's parameters: nothing behind it can hide a change.
    image = broken / "mem" / "params.mem"
    words = image.read_text().split()
    words[-1] = f"{int(words[-1], 16) ^ 1:0{len(words[-1])}x}"
    image.write_text("\n".join(words) + "\n")
    assert run("verify", broken, sim="icarus", work=tmp_path / "work").exit_code == 2
    junit = tmp_path / "junit.xml"
    result = run("verify", broken, "--allow-edited", "--json", sim="icarus", junit=junit, work=tmp_path / "work")
    assert result.exit_code == 1, result.output
    facts = json.loads(result.stdout)["verify"]
    assert facts["mismatches"] > 0
    assert "expected" in facts["failures"][0]["failure"]
    assert int(ET.parse(junit).getroot().get("failures", 0)) > 0


def test_missing_simulator(bundle: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("verify", bundle, sim="icarus")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "error: Icarus Verilog (iverilog and vvp) is not on PATH; install it" in result.stderr


def test_too_old_simulator(bundle: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("iverilog", "vvp"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'Icarus Verilog version 10.3 (stable)'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    result = run("verify", bundle, sim="icarus")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "error: Icarus Verilog is 10.3, cocotb needs 11.0 or newer; install it" in result.stderr


def test_no_bundle(run: Run, tmp_path: Path) -> None:
    result = run("verify", tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is no bundle" in result.stderr


def test_works_without_torch(bundle: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from typer.testing import CliRunner\nfrom hwprm.cli.app import app, register\nregister()\n"
        f"sys.exit(CliRunner().invoke(app, ['estimate', {str(bundle)!r}]).exit_code)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
