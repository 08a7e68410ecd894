"""The wrapper for devices with few pins has every port, and five pins."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hwprm.bundle import Bundle
from hwprm.targets.flow.wrapper import wrapper_verilog


def test_every_port_is_connected_once(small_bundle: Path) -> None:
    ports = Bundle.load(small_bundle).manifest.ports
    text = wrapper_verilog(ports)
    for port in ports:
        assert text.count(f".{port.name}(") == 1
    pins = text.partition(");")[0].count("wire ")
    assert pins == 5
    inputs = sum(port.width for port in ports if port.direction == "input") - 2
    outputs = sum(port.width for port in ports if port.direction == "output")
    assert f"reg [{inputs - 1}:0] driven;" in text
    assert f"wire [{outputs - 1}:0] seen;" in text


@pytest.mark.sim
def test_icarus_reads_it(small_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(small_bundle)
    (tmp_path / "pins.v").write_text(wrapper_verilog(bundle.manifest.ports))
    iverilog = shutil.which("iverilog")
    assert iverilog
    files = [str(path) for path in (tmp_path / "pins.v", *bundle.sources())]
    done = subprocess.run(
        [iverilog, "-Wall", "-o", str(tmp_path / "out"), "-s", "hwprm_pins", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "pins.v" in line]) == (0, [])
