"""Bundles of networks with products: equal in Verilog, to the cycle, from ROMs and from external memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.bundle import Bundle
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, MemoryConfig
from hwprm.config.verify import VerifyConfig
from hwprm.emission import emit_bundle
from hwprm.frontend import to_graph
from hwprm.quantization import quantize_images, quantize_network
from hwprm.verification import verify_bundle
from tests.support.rounds import long_round
from tests.support.zoo import ZOO, zoo_images, zoo_module

pytestmark = pytest.mark.sim

BLOCKS = ("efficientnet", "se-resnet", "mobilenet-v3", "products")


def bundle(name: str, folder: Path, count: int, **options: str | int) -> Bundle:
    """The block `name` of the zoo, from its float module on, for a 4 x 3 array."""
    x = zoo_images(name, max(4, count))
    net = quantize_network(to_graph(zoo_module(name), ZOO[name][1]), x, 1.0)
    program = compile_network(net, ArrayConfig(rows=4, cols=3, **options))
    return emit_bundle(program, quantize_images(x, 1.0, net)[:count], None, folder / "bundle")


@pytest.mark.parametrize(
    ("name", "options"),
    long_round(
        [
            ("efficientnet", {"weights": "axi"}),
            ("products", {"pipeline": "fast"}),
            ("mobilenet-v3", {"batch": 2}),
            ("se-resnet", {"weights": "axi", "pipeline": "fast"}),
        ],
        quick=1,
    ),
)
def test_equal_on_icarus(name: str, options: dict[str, str | int], tmp_path: Path) -> None:
    made = bundle(name, tmp_path, 2, **options)
    config = VerifyConfig(
        sim="icarus", icarus_images=2, images=2, work=tmp_path / "work", modes=("bulk",), trace_images=2
    )
    memory = MemoryConfig(latency=10, bandwidth="1/4") if options.get("weights") == "axi" else None
    verify_bundle(made.folder, config, memory=memory).raise_on_failure()


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", ["short", "fast"])
@pytest.mark.parametrize("name", BLOCKS)
def test_equal_on_both_simulators(name: str, pipeline: str, tmp_path: Path) -> None:
    made = bundle(name, tmp_path, 20, pipeline=pipeline)
    config = VerifyConfig(sim="both", images=20, icarus_images=3, work=tmp_path / "work", optimise=False)
    verify_bundle(made.folder, config).raise_on_failure()
