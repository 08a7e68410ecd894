"""Bundles of networks with tables: equal in Verilog, to the cycle, also where all else is read from external memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, MemoryConfig
from hwprm.config.verify import VerifyConfig
from hwprm.emission import emit_bundle
from hwprm.verification import verify_bundle
from tests.support.tables import tabled_network

pytestmark = pytest.mark.sim

MEMORY = MemoryConfig(latency=10, bandwidth="1/4")


def bundle(folder: Path, **options: str) -> Bundle:
    program = compile_network(tabled_network(), ArrayConfig(rows=3, cols=2, **options))
    return emit_bundle(program, random_images(2, program.network.image_limits, seed=3), np.arange(2), folder / "bundle")


@pytest.mark.parametrize("weights", ["rom", pytest.param("axi", marks=pytest.mark.slow)])
def test_equal_on_icarus(weights: str, tmp_path: Path) -> None:
    made = bundle(tmp_path, weights=weights)
    assert (made.folder / "mem" / "posts.mem").exists() and (made.folder / "rtl" / "hwprm_rom.v").exists()
    assert ("`mem/posts.mem` | the tables" in (made.folder / "README.md").read_text()) == (weights == "axi")
    config = VerifyConfig(
        sim="icarus", icarus_images=2, images=2, work=tmp_path / "work", modes=("bulk",), trace_images=2
    )
    verify_bundle(made.folder, config, memory=MEMORY if weights == "axi" else None).raise_on_failure()


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", ["short", "fast"])
def test_equal_on_both_simulators(pipeline: str, tmp_path: Path) -> None:
    made = bundle(tmp_path, pipeline=pipeline)
    config = VerifyConfig(sim="both", images=20, icarus_images=3, work=tmp_path / "work", optimise=False)
    verify_bundle(made.folder, config).raise_on_failure()


def test_a_wrong_word_of_a_table_is_found(tmp_path: Path) -> None:
    made = bundle(tmp_path)
    rom = made.folder / "mem" / "posts.mem"
    words = [int(word, 16) for word in rom.read_text().split()]
    rom.write_text("".join(f"{word ^ 1:02x}\n" for word in words))
    config = VerifyConfig(
        sim="icarus",
        icarus_images=2,
        images=2,
        work=tmp_path / "work",
        modes=("bulk",),
        trace_images=1,
        allow_edited=True,
    )
    report = verify_bundle(made.folder, config)
    assert any("image 0, layer 'a', channel " in (case.failure or "") for case in report.failures)
