"""A network that upsamples, emitted: equal in simulation, accepted by the linter, with exact cycles."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.config.verify import VerifyConfig
from hwprm.emission import emit_bundle
from hwprm.frontend import to_graph
from hwprm.quantization import quantize_images, quantize_network
from hwprm.verification import verify_bundle
from hwprm.verification.simulators.tools import find_simulator
from tests.support.zoo import ZOO, zoo_module

pytestmark = pytest.mark.sim


def test_upsampling_network(tmp_path: Path, work: Path) -> None:
    shape = ZOO["unet"][1]
    x = np.random.default_rng(1).normal(size=(2, *shape))
    net = quantize_network(to_graph(zoo_module("unet"), shape), x, 1.0)
    program = compile_network(net, ArrayConfig(rows=4, cols=3))
    assert program.hardware.upsampling
    images = quantize_images(x, 1.0, net)
    bundle = emit_bundle(program, images, np.zeros(len(x), np.int64), tmp_path / "bundle")
    config = VerifyConfig(sim="icarus", icarus_images=2, trace_images=2, modes=("bulk",), work=work)
    report = verify_bundle(bundle.folder, config)
    report.raise_on_failure()
    assert report.cycles_simulated == report.cycles_predicted == program.cycles.total
    _lint(bundle.sources())


def _lint(sources: list[Path]) -> None:
    verilator = find_simulator("verilator")
    command = [str(verilator.executable), "--lint-only", "-Wno-WIDTH", "--top-module", "hwprm_top", *map(str, sources)]
    done = subprocess.run(command, env=verilator.full_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, "%Warning" in done.stdout + done.stderr) == (0, False), done.stderr
