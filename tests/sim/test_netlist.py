"""A design in cells of a device, simulated with models of these: the same integers in the same cycles."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

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
KINDS = (("ecp5-25k", "ecp5", "fast"), ("ice40-hx8k", "any", "short"), ("ecp5-25k", "any", "short"))


@pytest.mark.parametrize(("target", "cells", "pipeline"), long_round(KINDS, quick=0))
def test_netlist_is_bit_exact(target: str, cells: str, pipeline: str, tmp_path: Path, work: Path) -> None:
    array = ArrayConfig(rows=1, cols=1, pipeline=pipeline)
    api.synth(
        _bundle(tmp_path / "b", cells, array), SiliconConfig(target=target, work=work, netlist=tmp_path / "netlist")
    )
    bundle = Bundle.load(tmp_path / "netlist")
    assert [path.name for path in bundle.sources()] == ["hwprm_cells.v", "hwprm_core.v", "hwprm_top.v"]
    assert (bundle.folder / "README.md").read_text().startswith("> The core of this bundle is a netlist of ")
    text = (bundle.folder / "rtl" / "hwprm_core.v").read_text()
    assert ("MULT18X18D" in text) == (target != "ice40-hx8k")
    report = _verified(bundle.folder, work)
    report.raise_on_failure()
    assert report.cycles_simulated == report.cycles_predicted
    assert {"images 0..1, chosen", "layer a"} == {case.name for case in report.cases if case.values}
    with pytest.raises(ConfigError, match="is a netlist already, of .*; give the bundle that it was made of"):
        api.synth(bundle, SiliconConfig(target=target, work=work))
    with pytest.raises(ConfigError, match="which a netlist hides; verify it with --modes bulk"):
        verify_bundle(bundle.folder, VerifyConfig(sim="icarus", modes=("layers",), work=work))
    # One table of the accumulator upside down is found.
    broken = Path(shutil.copytree(bundle.folder, tmp_path / "broken"))
    wrong, count = re.subn(r"\(16'h(?=[^;]*?array\.pe_0_0_acc)", "(~16'h", text, count=1)
    assert count == 1
    (broken / "rtl" / "hwprm_core.v").write_text(wrong)
    assert not _verified(broken, work).ok


def test_refusals(tmp_path: Path, work: Path) -> None:
    bundle = _bundle(tmp_path / "b", "any", ArrayConfig(rows=1, cols=1))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConfigError, match="nothing here simulates the cells of generic; take an ecp5 or an ice40"):
        api.synth(bundle, SiliconConfig(target="generic", work=work, netlist=tmp_path / "n"))
    assert not (tmp_path / "n").exists()
    with pytest.raises(InputError, match="full"):
        api.synth(bundle, SiliconConfig(work=work, netlist=tmp_path / "full"))
