"""A design with batches as an emitted bundle: every test of the protocol, full speed, and each layer alone."""

from __future__ import annotations

import pytest

from hwprm.config import VerifyConfig
from hwprm.emission import emit_bundle
from hwprm.intnet import Term
from hwprm.verification import verify_bundle
from tests.support.bench import random_images
from tests.support.networks import Spec, compiled, network, seeded_weights


def _program():
    """A convolution whose images share tiles, and a linear layer; three images at a time."""
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=seeded_weights(3, 1, 2, 2)),)),
        Spec(name="b", terms=(Term(source="a", weight=seeded_weights(2, 3, 2, 3)),), wide=True),
    )
    return compiled(network((1, 3, 4), layers), 4, 2, batch=3)


@pytest.mark.parametrize("sim", ["icarus", pytest.param("both", marks=pytest.mark.slow)])
def test_verified_in_every_mode(tmp_path, sim):
    """The last batch of the bulk mode is short; the layers of a batch are compared in the whole memory."""
    program = _program()
    emit_bundle(program, random_images(program, 4), None, tmp_path / "bundle")
    config = VerifyConfig(
        sim=sim,
        modes=("protocol", "bulk", "layers"),
        images=4,
        icarus_images=4,
        trace_images=4,
        protocol_images=2,
        layer_images=1,
        optimise=False,
        work=tmp_path / "work",
    )
    report = verify_bundle(tmp_path / "bundle", config)
    report.raise_on_failure()
    assert report.cycles_simulated == report.cycles_predicted == program.cycles.total
    names = {case.name for case in report.cases}
    assert {"short_batches", "flush_in_mid_image", "dropped_in_batch"} <= names
