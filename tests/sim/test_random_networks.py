"""Networks and arrays of odd sizes, through every protocol test and the bulk mode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.config.verify import VerifyConfig
from hwprm.emission import emit_bundle
from hwprm.intnet import IntegerNetwork
from hwprm.verification import verify_bundle
from tests.support.random_networks import random_network, random_residuals

pytestmark = pytest.mark.sim


@pytest.mark.parametrize(("seed", "rows", "cols", "stages"), [(25, 1, 1, 1), (9, 3, 8, 2), (17, 7, 5, 1)])
def test_random_network(tmp_path: Path, work: Path, seed: int, rows: int, cols: int, stages: int) -> None:
    _verify(random_network(seed), ArrayConfig(rows=rows, cols=cols, multiplier_stages=stages), seed, tmp_path, work)


def test_random_residuals(tmp_path: Path, work: Path) -> None:
    _verify(random_residuals(3), ArrayConfig(rows=3, cols=4, multiplier_stages=2), 3, tmp_path, work)


def _verify(net: IntegerNetwork, array: ArrayConfig, seed: int, tmp_path: Path, work: Path) -> None:
    program = compile_network(net, array)
    images = random_images(2, program.network.image_limits, seed)
    bundle = emit_bundle(program, images, np.zeros(2, np.int64), tmp_path / "bundle")
    report = verify_bundle(bundle.folder, VerifyConfig(sim="icarus", icarus_images=4, seed=seed, work=work))
    report.raise_on_failure()
    assert report.image_source == "2 stored, 2 random"
    assert report.cycles_simulated == report.cycles_predicted == program.cycles.total
