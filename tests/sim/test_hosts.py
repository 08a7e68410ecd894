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


STREAM8, UART = Host(kind="stream8"), Host(kind="uart", divider=4, silence=100)
#: Tests that only each of them has.
TESTS = {"stream8": {"short_image", "long_image"}, "uart": {"greeting", "broken_frames", "short_frames"}}


@pytest.mark.parametrize(
    ("host", "sim", "act_bits"),
    [
        (STREAM8, "icarus", 12),
        pytest.param(UART, "icarus", 8, marks=pytest.mark.slow),  # silences on the line last long
        pytest.param(STREAM8, "both", 8, marks=pytest.mark.slow),
        pytest.param(Host(kind="uart", divider=7, silence=200), "both", 12, marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "kind", str(value)),
)
def test_verified_from_the_pins(tmp_path: Path, host: Host, sim: str, act_bits: int) -> None:
    program = _program(act_bits)
    images = random_images(3, program.network.image_limits, seed=2)
    emit_bundle(program, images, None, tmp_path / "bundle", host=host)
    config = VerifyConfig(
        sim=sim,  # type: ignore[arg-type]  # one of them
        modes=("protocol", "bulk", "layers") if host is not UART else ("protocol", "bulk"),
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
    assert TESTS[host.kind] | {"reset_in_mid_image"} <= {case.name for case in report.cases}


def test_frames_at_full_speed(tmp_path: Path) -> None:
    program = _program()
    images = random_images(2, program.network.image_limits, seed=2)
    emit_bundle(program, images, None, tmp_path / "bundle", host=UART)
    config = VerifyConfig(
        sim="icarus", modes=("bulk",), images=2, icarus_images=2, trace_images=2, work=tmp_path / "work"
    )
    report = verify_bundle(tmp_path / "bundle", config)
    report.raise_on_failure()
    assert report.cycles_simulated == report.cycles_predicted == program.cycles.total
