"""Which cells a design for a device may be written in."""

from __future__ import annotations

import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.config.emit import TARGETS as CELLS
from hwprm.core.errors import ConfigError
from hwprm.emission import emit_bundle
from hwprm.targets.catalogue import TARGETS
from hwprm.targets.synth import check_cells
from tests.support.networks import small_lenet


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """One design in every kind of cells."""
    program = compile_network(small_lenet(), ArrayConfig(rows=1, cols=1))
    images, folder = random_images(1, program.network.image_limits, 0), tmp_path_factory.mktemp("cells")
    return {cells: emit_bundle(program, images, None, folder / cells, target=cells) for cells in CELLS}


def test_cells_by_device() -> None:
    assert {name: target.cells for name, target in TARGETS.items() if target.family.name == "ice40"} == {
        "ice40-up5k": "ice40",
        "ice40-hx8k": "any",  # no multipliers
    }
    assert {target.cells for target in TARGETS.values() if target.family.name == "ecp5"} == {"ecp5"}
    assert {target.cells for target in TARGETS.values() if target.family.name in ("generic", "xilinx")} == {"any"}


@pytest.mark.parametrize("name", TARGETS)
def test_the_cells_of_a_device_are_taken_for_it_and_others_refused(name: str, bundles: dict[str, Bundle]) -> None:
    target = TARGETS[name]
    for cells, bundle in bundles.items():
        if cells in ("any", target.cells):
            check_cells(bundle, target)
            continue
        with pytest.raises(ConfigError, match=f"is written in cells of {cells}, which {name} does not have"):
            check_cells(bundle, target)
