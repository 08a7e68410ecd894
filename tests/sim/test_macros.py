"""The example of docs/silicon.md: memories of a bundle as macros, simulated like the bundle itself, to the bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.config.verify import VerifyConfig
from hwprm.emission import emit_bundle
from hwprm.intnet import Term
from hwprm.verification import VerifyReport, verify_bundle
from tests.support.networks import Spec, network, seeded_weights
from tests.support.rounds import long_round

pytestmark = pytest.mark.sim

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "asic"
#: The pipeline, whose memories have registers behind them or none, and the simulator.
KINDS = (("fast", "icarus"), ("short", "icarus"), ("fast", "verilator"))


def _bundle(folder: Path, pipeline: str) -> Bundle:
    """Images of two macros a bank, and a result in a memory of flip-flops."""
    terms = Term(source="image", weight=seeded_weights(3, 2, 3, 3)), Term(source="a", weight=seeded_weights(4, 3, 8, 8))
    layers = Spec(name="a", terms=terms[:1]), Spec(name="b", terms=terms[1:], wide=True)
    program = compile_network(network((2, 10, 10), layers), ArrayConfig(rows=2, cols=2, pipeline=pipeline))
    return emit_bundle(program, random_images(2, program.network.image_limits, 0), None, folder)


def _verified(bundle: Bundle, sim: str, work: Path) -> VerifyReport:
    config = VerifyConfig(sim=sim, images=2, trace_images=2, modes=("bulk",), work=work, allow_edited=True)
    return verify_bundle(bundle.folder, config)


@pytest.mark.parametrize(("pipeline", "sim"), long_round(KINDS, quick=1))
def test_macros_are_bit_exact(pipeline: str, sim: str, tmp_path: Path, work: Path) -> None:
    bundle = _bundle(tmp_path / "bundle", pipeline)
    assert bundle.program.hardware.memory_words > 64
    for file in sorted(EXAMPLE.glob("*.v")):
        assert (bundle.folder / "rtl" / file.name).is_file(), "it stands in for one of the bundle's"
        shutil.copyfile(file, bundle.folder / "rtl" / file.name)
    report = _verified(bundle, sim, work)
    report.raise_on_failure()
    assert report.cycles_simulated == report.cycles_predicted
    assert {"images 0..1, chosen", "layer a"} == {case.name for case in report.cases if case.values}


@pytest.mark.parametrize("name", long_round(("hwprm_ram.v", "hwprm_rom.v"), quick=1))
def test_the_macros_are_what_is_simulated(name: str, tmp_path: Path, work: Path) -> None:
    """A macro that gives a wrong bit is found."""
    bundle = _bundle(tmp_path / "bundle", "short")
    text = (EXAMPLE / name).read_text()
    broken = text.replace("Q <= words[RA]", "Q <= words[RA] ^ 1").replace("Q <= words[A]", "Q <= words[A] ^ 1")
    assert broken != text
    (bundle.folder / "rtl" / name).write_text(broken)
    assert not _verified(bundle, "icarus", work).ok
