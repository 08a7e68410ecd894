"""The JUnit file: its cases, and what it says however a verification ends."""

from __future__ import annotations

import dataclasses
import os
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from hwprm.bundle import Bundle
from hwprm.config.verify import VerifyConfig
from hwprm.core.errors import BundleError, InputError, ToolError
from hwprm.verification import verify, verify_bundle, write_junit
from hwprm.verification.coverage.summary import FilterCount, LayerCoverage
from tests.sim.standin import standin_bundle
from tests.unit.verification.results.reports import report


def test_junit(tmp_path: Path) -> None:
    write_junit(report(None, "bad \x1b[31m value\nsecond line"), tmp_path / "deep" / "j.xml")
    root = ET.parse(tmp_path / "deep" / "j.xml").getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")
    (suite,) = root.findall("testsuite")
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("net.icarus.bulk", "2", "1")
    good, bad = suite.findall("testcase")
    properties = {p.get("name"): p.get("value") for p in good.iter("property")}
    assert properties == {"seed": "5", "values": "4", "wrong": "0", "cycles_predicted": "7"}
    origin = {p.get("name"): p.get("value") for p in suite.findall("properties/property")}
    assert origin == {"seed": "5", "simulators": "icarus 11.0", "images": "2", "design_hash": "5a" * 32}
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("message") == "bad ?[31m value"
    assert failure.text == "bad ?[31m value\nsecond line"
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="^cannot write "):
        write_junit(report(None), tmp_path / "file" / "j.xml")


def test_coverage_is_a_suite_that_never_fails(tmp_path: Path) -> None:
    layer = LayerCoverage(
        name="conv",
        goals=9,
        reached=5,
        compared=4,
        unreachable=("below", "code 1..2"),
        open=("tie",),
        ruled_out=3,
        left=1,
        filters=(FilterCount(kind="above", filters=1_200, reached=7, unreachable=2),),
    )
    write_junit(dataclasses.replace(report(None), coverage=(layer,), netlist="ecp5"), tmp_path / "j.xml")
    root = ET.parse(tmp_path / "j.xml").getroot()
    first, suite = root.findall("testsuite")
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("net.reference.coverage", "1", "0")
    (case,) = suite.findall("testcase")
    properties = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert case.get("name") == "layer conv"
    assert {key: properties[key] for key in ("goals", "reached", "compared", "ruled_out", "left")} == {
        **{"goals": "9", "reached": "5", "compared": "4"},
        **{"ruled_out": "3", "left": "1"},
    }
    assert (properties["unreachable"], properties["open"]) == ("below; code 1..2", "tie")
    assert properties["filters above"] == "7 of 1200, 2 unreachable"
    assert ("netlist", "ecp5") in [(p.get("name"), p.get("value")) for p in first.findall("properties/property")]


def only_case(path: Path) -> tuple[str | None, str | None, str | None]:
    """Number of errors, type and message of the file's only case."""
    root = ET.parse(path).getroot()
    (error,) = root.iter("error")
    assert root.get("failures") == "0"
    return root.get("errors"), error.get("type"), error.get("message")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return standin_bundle(tmp_path_factory.mktemp("b") / "bundle")


@pytest.fixture
def stale(tmp_path: Path) -> Path:
    """What an earlier, green run left."""
    write_junit(report(None), tmp_path / "junit.xml")
    return tmp_path / "junit.xml"


ENDS: dict[str, tuple[BaseException, str, str]] = {
    "tool": (ToolError("no compiler; install one"), "ToolError", "no compiler; install one"),
    "ctrl-c": (KeyboardInterrupt(), "KeyboardInterrupt", "interrupted"),
    "fault": (IndexError("list index"), "IndexError", "a fault in hwprm itself: IndexError: list index"),
    "memory": (MemoryError("7 PiB"), "MemoryError", "a fault in hwprm itself: MemoryError: 7 PiB"),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_every_end_is_in_the_file(
    bundle: Bundle, stale: Path, monkeypatch: pytest.MonkeyPatch, end: tuple[BaseException, str, str]
) -> None:
    error, kind, message = end

    def stop(*args: object) -> None:
        unfinished = "not finished: the verification is at work, or was killed"
        assert only_case(stale) == ("1", "unfinished", unfinished), "red from the start"
        raise error

    monkeypatch.setattr(verify, "find_simulator", stop)
    with pytest.raises(type(error)):
        verify_bundle(bundle.folder, VerifyConfig(), junit=stale)
    assert only_case(stale) == ("1", kind, message)


def test_a_broken_bundle_is_in_the_file(bundle: Bundle, stale: Path, tmp_path: Path, icarus: None) -> None:
    shutil.copytree(bundle.folder, tmp_path / "copy")
    (tmp_path / "copy" / "mem" / "weights.mem").unlink()
    with pytest.raises(BundleError):
        verify_bundle(tmp_path / "copy", VerifyConfig(sim="icarus"), junit=stale)
    assert "copy is incomplete: mem/weights.mem is missing" in str(only_case(stale)[2])


@pytest.fixture
def icarus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "find_simulator", lambda name: None)


def test_nothing_compared_is_in_the_file(tmp_path: Path) -> None:
    write_junit(report(None, values=0), tmp_path / "junit.xml")
    root = ET.parse(tmp_path / "junit.xml").getroot()
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    assert [failure.get("message") for failure in root.iter("failure")] == ["nothing was compared"]


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_refused_up_front(bundle: Bundle, tmp_path: Path, device: Path, kind: str) -> None:
    junit = tmp_path / "junit.xml"
    if kind == "pipe":
        os.mkfifo(junit)
    else:
        junit.symlink_to(device)
    before = junit.stat()
    with pytest.raises(InputError, match=rf"^cannot write .*junit.xml: it is a {kind}; choose another name$"):
        verify_bundle(bundle.folder, VerifyConfig(), junit=junit)
    assert os.path.samestat(before, junit.stat())


def test_no_text_of_others_breaks_the_file(tmp_path: Path) -> None:
    bad = dataclasses.replace(report("x").cases[0], name="a\x00<b>&\x1b", failure="\x00 first\nsecond")
    write_junit(dataclasses.replace(report("x"), cases=(bad,), net="n\x08"), tmp_path / "junit.xml")
    (case,) = ET.parse(tmp_path / "junit.xml").getroot().iter("testcase")
    assert (case.get("name"), case.get("classname")) == ("a?<b>&?", "n?.icarus.bulk")
