"""Faults that no usual traffic shows, planted in the Verilog of small bundles: verify finds each of them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import ArrayConfig
from hwprm.config.verify import VerifyConfig
from hwprm.emission import emit_bundle
from hwprm.verification import VerifyReport, verify_bundle
from tests.support.networks import Spec, Term, network, seeded_weights

pytestmark = pytest.mark.sim

#: Whether a beat is held, as the Verilog calls it.
HELD = r"\\\$signal\$\d+ "
#: What stands in the Verilog, what is to stand there, and the failure that has to tell of it.
FAULTS = {
    "an upper bit of a counter": (
        r"(    frames_out <= )(\S+ ?);",
        r"\1\2 & ~32'h40000;",
        r"counters: .*register FRAMES_OUT reads \d+, 1431655765 is expected",
    ),
    "an upper bit of a counter as it is read": (
        r"( = )(frames_dropped);",
        r"\1\2 & ~32'h80000000;",
        r"counters: .*register FRAMES_DROPPED reads \d+, 2863311530 is expected",
    ),
    "waits for room that are not counted": (
        r"(= stalls \+ )stalled;",
        r"\g<1>1'h0;",
        r"stalls: the STALLS register reads 0, layers started \d+ cycles late",
    ),
    "beats of an image that is too long, written": (
        rf"(    (\S+ ) = {HELD};\n    if \(grant\) begin\n      \2 = {HELD};\n    end\n    if )\(.*\)",
        r"\1(1'b0)",
        r"run_control: .*image 0: logit 0: expected",
    ),
}


def _bundle(out: Path, **array: object) -> Bundle:
    """A convolution and an output, which take many times as long as it takes to send an image."""
    conv = Spec(name="conv", terms=(Term(source="image", weight=seeded_weights(8, 1, 3, 3)),), relu=True)
    score = Spec(name="score", terms=(Term(source="conv", weight=seeded_weights(2, 8, 4, 4)),), wide=True)
    program = compile_network(network((1, 6, 6), (conv, score)), ArrayConfig(rows=2, cols=2, **array))  # type: ignore[arg-type]
    return emit_bundle(program, random_images(3, program.network.image_limits, seed=3), None, out)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return _bundle(tmp_path_factory.mktemp("plain") / "bundle")


@pytest.fixture(scope="module")
def external(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return _bundle(tmp_path_factory.mktemp("external") / "bundle", weights="axi", axi_burst=2)


def _verify(folder: Path, work: Path, mode: str) -> VerifyReport:
    return verify_bundle(folder, VerifyConfig(sim="icarus", modes=(mode,), work=work, allow_edited=True))  # type: ignore[arg-type]


def _failures(bundle: Bundle, old: str, new: str, folder: Path, work: Path, mode: str = "protocol") -> str:
    """What a verification of `bundle` says of it with `new` in place of the one `old` in its core."""
    shutil.copytree(bundle.folder, folder)
    core = folder / "rtl" / "hwprm_core.v"
    faulty, count = re.subn(old, new, core.read_text())
    assert count == 1, "the fault is not where it was"
    core.write_text(faulty)
    report = _verify(folder, work, mode)
    return "\n".join(f"{case.name}: {case.failure}" for case in report.failures)


def test_without_a_fault(plain: Bundle, external: Bundle, work: Path) -> None:
    for bundle in (plain, external):
        report = _verify(bundle.folder, work, "protocol")
        report.raise_on_failure()
    assert {case.name for case in report.cases} >= {"counters", "run_control", "stalled_sink", "addresses"}


@pytest.mark.parametrize("fault", FAULTS)
def test_found(fault: str, plain: Bundle, work: Path, tmp_path: Path) -> None:
    old, new, said = FAULTS[fault]
    assert re.search(said, _failures(plain, old, new, tmp_path / "faulty", work))


def test_an_address_elsewhere(external: Bundle, work: Path, tmp_path: Path) -> None:
    """One upper bit of it is always set: a memory that fills its address space again and again answers all the same."""
    fault = r"(if \(ask\) begin\n +\S+ +=) (\\\$\d+ \[63:0\]);", r"\1 \2 | 64'h4000000000;"
    for mode in ("protocol", "bulk"):
        text = _failures(external, *fault, tmp_path / mode, work, mode)
        assert re.search(r"addresses: an address outside of the external image is offered in cycle \d+, test \d+", text)
