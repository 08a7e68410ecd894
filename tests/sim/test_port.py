"""The command that talks to a board, against the simulated pins of an emitted bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hwprm.attached.host import SerialHost
from hwprm.attached.port import Port, open_port
from hwprm.attached.run import design_of
from hwprm.bundle.driver import pack
from hwprm.bundle.images import random_images
from hwprm.emission import emit_bundle
from hwprm.intnet import Term
from hwprm.isa.hosts import Host
from tests.conftest import Run
from tests.support.networks import Spec, compiled, network, seeded_weights
from tests.support.pins import simulated

pytestmark = [pytest.mark.sim, pytest.mark.slow]

#: Simulations are slower than the line.
WAIT = 60.0
BAUD = 3_000_000


class Breaking:
    """A `port` whose fourth and sixth frame to the board have a wrong bit."""

    def __init__(self, port: Port) -> None:
        self.port, self.count = port, 0

    def read(self) -> bytes:
        return self.port.read()

    def write(self, data: bytes, /) -> None:
        self.count += 1
        self.port.write(data if self.count not in (4, 6) else data[:8] + bytes([data[8] ^ 1]) + data[9:])


def test_images_through_the_pins(run: Run, tmp_path: Path) -> None:
    """First as the command sends them; then with what it would not break by itself, which the design has to notice."""
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=seeded_weights(3, 1, 2, 2)),)),
        Spec(name="b", terms=(Term(source="a", weight=seeded_weights(2, 3, 2, 3)),), wide=True),
    )
    program = compiled(network((1, 3, 4), layers, act_bits=12), 2, 2)
    images = random_images(6, program.network.image_limits, seed=2)
    host = Host(kind="uart", divider=4, silence=2000)
    bundle = emit_bundle(program, images, None, tmp_path / "bundle", host=host)
    with simulated(bundle, tmp_path / "work") as name:
        done = run("run", bundle.folder, "--json", port=name, baud=BAUD, wait=WAIT)
        assert done.exit_code == 0, done.stderr
        facts = json.loads(done.stdout)["board"]
        assert (facts["images"], facts["values_compared"], facts["mismatches"]) == (6, 12, 0)
        assert (facts["retries"]["again"], facts["retries"]["silences"]) == (0, 0)
        with open_port(name, BAUD, WAIT) as port:
            broken = SerialHost(Breaking(port), design_of(bundle.manifest, BAUD, WAIT), retries=3)
            assert broken.greet().next == 6
            answers = list(broken.through([pack(bundle.manifest, image) for image in images]))
    golden = bundle.golden("b").reshape(6, -1)
    assert {answer.index for answer in answers} == set(range(6))
    assert all((np.frombuffer(answer.payload, "<i4") == golden[answer.index]).all() for answer in answers)
    assert broken.tally.dropped["checksum"] >= 1 and broken.tally.again >= 2
