"""A fault that stored images cannot see: the search finds the images that do, and says what it reached."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.config.verify import VerifyConfig
from hwprm.emission import emit_bundle
from hwprm.reporting.page.verification import read_results
from hwprm.verification import VerifyReport, verify_bundle
from tests.support.networks import small_lenet

pytestmark = pytest.mark.sim
ROWS = 4


@pytest.fixture(scope="module")
def dim(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small LeNet whose stored images have little contrast: none of them reaches an upper clamp."""
    program = compile_network(small_lenet(), ArrayConfig(rows=ROWS, cols=3))
    low, high = program.network.image_limits
    images = random_images(3, (low // 8, high // 8), seed=3)
    return emit_bundle(program, images, None, tmp_path_factory.mktemp("dim") / "bundle")


def _names(report: VerifyReport) -> set[str]:
    return {f"{layer.name} {name}" for layer in report.coverage for name in layer.open}


def test_a_clamp_one_too_low(dim: Bundle, work: Path, tmp_path: Path) -> None:
    """What a lane's upper clamp cuts off becomes one less than its end; three stored images never come near it."""
    folder = tmp_path / "faulty"
    shutil.copytree(dim.folder, folder)
    core = folder / "rtl" / "hwprm_core.v"
    clamped = r"\? (\\port\S+ \[\d+:\d+\]) : (rounded\[)"
    faulty, count = re.subn(clamped, r"? (\1 - 9'd1) : \2", core.read_text())
    assert count == ROWS, "the fault is not where it was"
    core.write_text(faulty)
    plain = VerifyConfig(sim="icarus", images=3, work=work, allow_edited=True)
    stored = verify_bundle(folder, replace(plain, search=False))
    assert stored.ok, "the stored images would find it"
    assert {"conv1 above", "conv1 highest", "conv2 above"} <= _names(stored)
    found = verify_bundle(folder, plain)
    assert not found.ok
    assert found.mismatches > 0
    assert {"layer conv1", "layer conv2"} & {case.name for case in found.failures}


def test_what_is_reached_is_reported(dim: Bundle, work: Path, tmp_path: Path) -> None:
    config = VerifyConfig(sim="icarus", images=20, trace_images=8, modes=("bulk",), work=work)
    report = verify_bundle(dim.folder, config, junit=tmp_path / "junit.xml")
    report.raise_on_failure()
    assert [layer.name for layer in report.coverage] == ["image", "conv1", "conv2", "fc1", "fc2"]
    assert report.coverage_line.endswith(" goals reached, 4 unreachable, 0 open")
    assert report.coverage[-1].unreachable == ("below", "above", "lowest", "highest"), "of 32 bits"
    counts = [(layer.compared, layer.reached) for layer in report.coverage]
    assert all(compared <= reached for compared, reached in counts), "of eight images every layer is compared"
    assert sum(compared for compared, _ in counts) > 0
    names = [case.get("name") for case in ET.parse(tmp_path / "junit.xml").getroot().iter("testcase")]
    assert f"layer {report.coverage[1].name}" in names
    results = read_results(tmp_path / "junit.xml", dim.manifest.design_hash)
    assert results
    coverage = results.facts()["coverage"]
    assert coverage["reached"] == sum(layer.reached for layer in report.coverage)
    assert coverage["layers"][1]["filters"]["above"]["of"] == 3
    assert report.as_dict()["coverage"][1]["name"] == "conv1"
