"""A design in cells of a device, simulated with models of these: the same integers in the same cycles."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from hwprm import api
from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig, SiliconConfig
from hwprm.config.verify import VerifyConfig
from hwprm.core.errors import ConfigError, InputError
from hwprm.emission import emit_bundle
from hwprm.intnet import Term
from hwprm.verification import VerifyReport, verify_bundle
from hwprm.verification.comparison.events import Section, read_sections
from hwprm.verification.modes import bulk
from hwprm.verification.modes.simulation import Simulation
from hwprm.verification.modes.trace import compare_trace
from tests.support.networks import Spec, network, seeded_weights
from tests.support.rounds import long_round

pytestmark = pytest.mark.sim


def _bundle(folder: Path, target: str, array: ArrayConfig) -> Path:
    """A convolution and a linear layer."""
    terms = Term(source="image", weight=seeded_weights(3, 1, 3, 3)), Term(source="a", weight=seeded_weights(4, 3, 2, 2))
    layers = Spec(name="a", terms=terms[:1]), Spec(name="b", terms=terms[1:], wide=True)
    program = compile_network(network((1, 4, 4), layers), array)
    emit_bundle(program, random_images(2, program.network.image_limits, 0), None, folder, target=target)
    return folder


def _verified(folder: Path, work: Path) -> VerifyReport:
    config = VerifyConfig(sim="icarus", images=2, trace_images=2, modes=("bulk",), work=work, allow_edited=True)
    return verify_bundle(folder, config)


#: Device, whose cells the gateware instantiates, pipeline.
KINDS = (
    ("generic", "any", "short"),
    ("ice40-up5k", "ice40", "fast"),
    *(("ecp5-25k", "ecp5", "fast"), ("ice40-hx8k", "any", "short"), ("ecp5-25k", "any", "short")),
    ("ice40-up5k", "ice40", "short"),
    ("generic", "any", "fast"),
)
#: What multiplies on a device, where it has such cells.
MULTIPLIERS = {"ecp5-25k": "MULT18X18D", "ice40-up5k": "SB_MAC16"}
#: A gate that clears a bit of the accumulator, or one of its tables, and what is wrong in its place.
FAULTS = {
    True: (r"(\\\$_MUX_ [^;]*?array\.pe_0_0_acc[^;]*?\.B\()1'h0", r"\g<1>1'h1"),
    False: (r"\(16'h(?=[^;]*?array\.pe_0_0_acc)", "(~16'h"),
}


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the test bench writes in bulk mode, as it is read: all events, then every vector that is stored."""
    found: list[str] = []

    def sections(file: Path) -> list[Section]:
        found.append(file.read_text())
        return read_sections(file)

    def trace(simulation: Simulation, file: Path, images: Any) -> Any:
        found.append(file.read_text())
        return compare_trace(simulation, file, images)

    monkeypatch.setattr(bulk, "read_sections", sections)
    monkeypatch.setattr(bulk, "compare_trace", trace)
    return found


@pytest.mark.parametrize(("target", "cells", "pipeline"), long_round(KINDS, quick=0))
def test_netlist_is_bit_exact(
    target: str, cells: str, pipeline: str, tmp_path: Path, work: Path, events: list[str]
) -> None:
    array = ArrayConfig(rows=1, cols=1, pipeline=pipeline)
    plain = _bundle(tmp_path / "b", cells, array)
    api.synth(plain, SiliconConfig(target=target, work=work, netlist=tmp_path / "netlist"))
    bundle = Bundle.load(tmp_path / "netlist")
    gates = target == "generic"
    memories = ["hwprm_ram.v", "hwprm_rom.v"] if gates else []
    assert [path.name for path in bundle.sources()] == ["hwprm_cells.v", "hwprm_core.v", *memories, "hwprm_top.v"]
    assert (bundle.folder / "README.md").read_text().startswith("> The core of this bundle is a netlist of ")
    text = (bundle.folder / "rtl" / "hwprm_core.v").read_text()
    assert {name for name in MULTIPLIERS.values() if name in text} == {MULTIPLIERS.get(target)} - {None}
    report = _verified(bundle.folder, work)
    report.raise_on_failure()
    assert report.cycles_simulated == report.cycles_predicted
    _verified(plain, work).raise_on_failure()
    # Each event in its cycle, as of the Verilog that the netlist was made of.
    log, stored, plain_log, plain_stored = events
    assert (log, stored) == (plain_log, plain_stored)
    assert log.count("\nO ") == 2 * 4
    assert len(stored.splitlines()) > 20
    assert {"images 0..1, chosen", "layer a"} == {case.name for case in report.cases if case.values}
    with pytest.raises(ConfigError, match="is a netlist already, of .*; give the bundle that it was made of"):
        api.synth(bundle, SiliconConfig(target=target, work=work))
    with pytest.raises(ConfigError, match="which a netlist hides; verify it with --modes bulk"):
        verify_bundle(bundle.folder, VerifyConfig(sim="icarus", modes=("layers",), work=work))
    # A bit of the accumulator that begins with 1, or one of its tables upside down, is found.
    broken = Path(shutil.copytree(bundle.folder, tmp_path / "broken"))
    wrong, count = re.subn(*FAULTS[gates], text, count=1)
    assert count == 1
    (broken / "rtl" / "hwprm_core.v").write_text(wrong)
    assert not _verified(broken, work).ok


@pytest.mark.slow
def test_gates_with_external_memory_on_both_simulators(tmp_path: Path, work: Path) -> None:
    """No ROM is among the black boxes, and Verilator takes the gates as well."""
    plain = _bundle(tmp_path / "b", "any", ArrayConfig(rows=1, cols=1, weights="axi", axi_data_bits=64, axi_burst=4))
    api.synth(plain, SiliconConfig(target="generic", work=work, netlist=tmp_path / "netlist"))
    bundle = Bundle.load(tmp_path / "netlist")
    names = ["hwprm_cells.v", "hwprm_core.v", "hwprm_ram.v", "hwprm_top.v"]
    assert [path.name for path in bundle.sources()] == names
    assert "in which memories are instances of `hwprm_ram`, as\n" in (bundle.folder / "README.md").read_text()
    config = VerifyConfig(sim="both", images=2, trace_images=2, modes=("bulk",), work=work, optimise=False)
    verify_bundle(bundle.folder, config).raise_on_failure()


def test_refusals(tmp_path: Path, work: Path) -> None:
    bundle = _bundle(tmp_path / "b", "any", ArrayConfig(rows=1, cols=1))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConfigError, match="nothing here simulates cells of xc7a35t; take an ecp5, an ice40 or gen"):
        api.synth(bundle, SiliconConfig(target="xc7a35t", work=work, netlist=tmp_path / "n"))
    assert not (tmp_path / "n").exists()
    with pytest.raises(InputError, match="full"):
        api.synth(bundle, SiliconConfig(work=work, netlist=tmp_path / "full"))
