"""Column phases in the whole accelerator: the integers of the reference, the cycles of the model."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.config import MemoryConfig
from hwprm.intnet import Pool, Term
from tests.gateware.test_external_memory import check_stalls
from tests.support.axi_memory import AxiMemory
from tests.support.bench import random_images, run_checked
from tests.support.networks import Spec, compiled, network, seeded_weights
from tests.support.phased_networks import phased_network
from tests.support.rounds import long_round

HALVE = Pool(kernel=(2, 2), stride=(2, 2))


def _array(seed: int) -> tuple[int, int]:
    rng = np.random.default_rng(seed)
    return int(rng.integers(1, 6)), int(rng.integers(2, 9))


@pytest.mark.parametrize(("seed", "pipeline"), long_round([(i, ("short", "fast")[i % 2]) for i in range(40)], quick=4))
def test_random_networks(seed, pipeline):
    program = compiled(phased_network(seed), *_array(seed), pipeline=pipeline)
    run_checked(program, random_images(program, 2, seed))


@pytest.mark.parametrize("seed", long_round(range(14), quick=1))
def test_batches(seed):
    """Images behind each other in every channel, phases side by side."""
    rows, cols = _array(seed)
    program = compiled(phased_network(seed), rows, cols, batch=2 + seed % 3, pipeline=("short", "fast")[seed % 2])
    run_checked(program, random_images(program, 3 + seed % 3, seed), batches=[2 + seed % 3, 1])


@pytest.mark.parametrize("pipeline", long_round(["short", "fast"], quick=1))
def test_last_filters_of_a_layer(pipeline):
    """A layer and its remainder, of other phases, one behind the other; a reader that sums over both."""
    net = network(
        (1, 10, 10),
        (
            Spec(name="first", terms=(Term(source="image", weight=seeded_weights(5, 1, 3, 3)),), pool=HALVE),
            Spec(name="out", terms=(Term(source="first", weight=seeded_weights(3, 5, 4, 4)),), wide=True),
        ),
    )
    program = compiled(net, 4, 4, phases="split", pipeline=pipeline)
    assert program.layers == ("first", "first_rest", "out")
    run_checked(program, random_images(program, 2))


@pytest.mark.parametrize(("seed", "pipeline"), long_round([(7, "short"), (9, "fast"), (6, "fast")], quick=1))
def test_from_external_memory(seed, pipeline):
    """One list for all channels stays in its ring while the tiles' bases change; stalls are those predicted."""
    program = compiled(phased_network(seed), *_array(seed), pipeline=pipeline, weights="axi", axi_data_bits=64)
    assert program.hardware.phased
    timing = MemoryConfig(latency=10, bandwidth="1/3")
    memory = AxiMemory(program.external.data, program.hardware.external, timing=timing)
    result = run_checked(program, random_images(program, 2), memory=memory)
    assert check_stalls(program, memory, result) > 0
