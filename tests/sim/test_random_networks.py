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

#: Seeds of networks, what they run on, whose cells that is made of.
ARRAYS = (
    pytest.param(25, ArrayConfig(rows=1, cols=1, pipeline="fast"), "any", marks=pytest.mark.slow),
    (9, ArrayConfig(rows=3, cols=8, multiplier_stages=2), "ecp5"),
    pytest.param(17, ArrayConfig(rows=7, cols=5, pipeline="fast"), "ecp5", marks=pytest.mark.slow),
)


@pytest.mark.parametrize(("seed", "array", "target"), ARRAYS, ids=["1x1", "3x8", "7x5"])
def test_random_network(tmp_path: Path, work: Path, seed: int, array: ArrayConfig, target: str) -> None:
    _verify(random_network(seed), array, seed, tmp_path, work, target)


@pytest.mark.slow
def test_random_residuals(tmp_path: Path, work: Path) -> None:
    _verify(random_residuals(3), ArrayConfig(rows=3, cols=4, multiplier_stages=2, pipeline="fast"), 3, tmp_path, work)


def _verify(
    net: IntegerNetwork, array: ArrayConfig, seed: int, tmp_path: Path, work: Path, target: str = "any"
) -> None:
    program = compile_network(net, array)
    images = random_images(2, program.network.image_limits, seed)
    bundle = emit_bundle(program, images, np.zeros(2, np.int64), tmp_path / "bundle", target=target)
    assert ("hwprm_multiplier" in (bundle.folder / "rtl" / "hwprm_core.v").read_text()) == (target != "any")
    report = verify_bundle(bundle.folder, VerifyConfig(sim="icarus", icarus_images=4, seed=seed, work=work))
    report.raise_on_failure()
    chosen, _, rest = report.image_source.partition(" chosen (")
    assert 1 <= int(chosen) <= 4
    assert "of them stored)" in rest
    assert {layer.name for layer in report.coverage} == {"image", *(layer.name for layer in net.layers)}
    assert sum(layer.reached for layer in report.coverage) > 0
    assert report.cycles_simulated == report.cycles_predicted == program.cycles.total
