"""Every feature at once, on both simulators: batches, phases, tables, products, the fast pipeline, external memory.

Blocks of real networks and random ones, with everything that a design can have switched on together; features that are
right alone and wrong beside another fail here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, MemoryConfig
from hwprm.config.verify import VerifyConfig
from hwprm.emission import emit_bundle
from hwprm.frontend import to_graph
from hwprm.intnet import IntegerNetwork
from hwprm.quantization import quantize_network
from hwprm.verification import verify_bundle
from tests.support.random_networks import random_inputs, random_network, random_products, random_residuals
from tests.support.zoo import ZOO, zoo_images, zoo_module

pytestmark = [pytest.mark.sim, pytest.mark.slow]

#: Arrays, so many that neither their rows nor their columns divide what most layers have.
ARRAYS = (
    {"rows": 4, "cols": 3, "batch": 2, "weights": "axi"},
    {"rows": 5, "cols": 4, "batch": 3, "weights": "rom", "phases": "split"},
    {"rows": 3, "cols": 5, "batch": 2, "weights": "rom"},
)
RANDOM = {
    **{f"products-{seed}": (random_products, seed) for seed in (1, 2, 3, 5)},
    **{f"residuals-{seed}": (random_residuals, seed) for seed in (3, 13)},
    **{f"inputs-{seed}": (random_inputs, seed) for seed in (700, 702)},
    **{f"operators-{seed}": (random_network, seed) for seed in (11, 14)},
}


def _zoo(name: str) -> IntegerNetwork:
    return quantize_network(to_graph(zoo_module(name), ZOO[name][1]), zoo_images(name, 4), 1.0)


def _check(net: IntegerNetwork, index: int, folder: Path) -> None:
    options = ARRAYS[index % len(ARRAYS)]
    program = compile_network(net, ArrayConfig(pipeline="fast", **options))  # type: ignore[arg-type]  # of all kinds
    images = random_images(2 * program.hardware.batch - 1, program.network.image_limits, seed=index)
    target = "ecp5" if index % 2 else "any"
    bundle = emit_bundle(program, images, None, folder / "bundle", target=target)
    count = len(images)
    config = VerifyConfig(
        sim="both", images=count, icarus_images=count, trace_images=count, work=folder / "work", optimise=False
    )
    memory = MemoryConfig(latency=10, bandwidth="1/4") if options["weights"] == "axi" else None
    report = verify_bundle(bundle.folder, config, memory=memory)
    report.raise_on_failure()
    assert report.cycles_simulated == report.cycles_predicted == program.cycles.total


@pytest.mark.parametrize("name", ZOO)
def test_blocks_of_real_networks(name: str, tmp_path: Path) -> None:
    _check(_zoo(name), list(ZOO).index(name), tmp_path)


@pytest.mark.parametrize("name", RANDOM)
def test_random_networks(name: str, tmp_path: Path) -> None:
    make, seed = RANDOM[name]
    _check(make(seed, largest=5), list(RANDOM).index(name), tmp_path)
