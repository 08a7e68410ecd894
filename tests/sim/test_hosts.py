"""Designs without registers as emitted bundles: every test of the pins, full speed, and each layer alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.bundle.images import random_images
from hwprm.compiler import Program
from hwprm.config import VerifyConfig
from hwprm.emission import emit_bundle
from hwprm.intnet import Term
from hwprm.isa.hosts import Host
from hwprm.verification import verify_bundle
from tests.support.networks import Spec, compiled, network, seeded_weights

pytestmark = pytest.mark.sim


def _program(act_bits: int = 8) -> Program:
    """A convolution and a linear layer; an image of 12 activations, a result of 2 words."""
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=seeded_weights(3, 1, 2, 2)),)),
        Spec(name="b", terms=(Term(source="a", weight=seeded_weights(2, 3, 2, 3)),), wide=True),
    )
    return compiled(network((1, 3, 4), layers, act_bits=act_bits), 2, 2)


@pytest.mark.parametrize(
    ("sim", "act_bits"),
    [("icarus", 12), pytest.param("both", 8, marks=pytest.mark.slow)],
)
def test_streams_of_bytes_in_every_mode(tmp_path: Path, sim: str, act_bits: int) -> None:
    program = _program(act_bits)
    images = random_images(3, program.network.image_limits, seed=2)
    emit_bundle(program, images, None, tmp_path / "bundle", host=Host(kind="stream8"))
    config = VerifyConfig(
        sim=sim,  # type: ignore[arg-type]  # one of them
        modes=("protocol", "bulk", "layers"),
        images=4,
        icarus_images=4,
        trace_images=2,
        layer_images=1,
        optimise=False,
        work=tmp_path / "work",
    )
    report = verify_bundle(tmp_path / "bundle", config)
    report.raise_on_failure()
    assert report.cycles_simulated == report.cycles_predicted == program.cycles.total
    assert {"short_image", "long_image", "reset_in_mid_image", "layer a"} <= {case.name for case in report.cases}
