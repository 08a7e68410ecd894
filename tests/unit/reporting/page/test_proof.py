"""The section on how far the proof reaches, and the coverage beside a verification."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hwprm.bundle import Bundle
from hwprm.bundle.manifest import ChecksEntry
from hwprm.reporting.page.content import Content, gather
from hwprm.reporting.page.parts import Table
from hwprm.reporting.page.proof import coverage_tables, proof_section
from hwprm.reporting.page.summary import verification_section
from hwprm.reporting.page.verification import NETLIST_RESULTS, RESULTS
from hwprm.verification import write_junit
from tests.support.builds import verified

LINKS = ["float model → integers", "integers → program", "program → RTL", "RTL → netlist"]


def rows(content: Content) -> dict[str, Sequence[str]]:
    (section,) = proof_section(content)
    (table,) = section.parts
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == LINKS
    return {row[0]: row[1:] for row in table.rows}


def test_a_run_says_which_step_showed_what(finished: Path) -> None:
    found = rows(gather(finished))
    shown, by = found["float model → integers"]
    assert shown.startswith("measured, not equal: ")
    assert "test images; accuracy 92.50 % compact, 91.25 % integer" in shown
    assert by == "step quantize of this run"
    assert found["integers → program"][1] == "step compile of this run"
    shown, by = found["program → RTL"]
    assert shown.startswith("equal in every integer: ")
    assert " goals reached, " in shown
    assert by == "step verify of this run, 2.5 s"
    assert found["RTL → netlist"][0] == "not shown"


@pytest.fixture
def bundle(finished: Path, tmp_path: Path) -> Bundle:
    shutil.copytree(finished / "bundle", tmp_path / "bundle")
    return Bundle.load(tmp_path / "bundle")


def test_a_bundle_alone_shows_what_it_says_of_itself(bundle: Bundle) -> None:
    found = rows(gather(bundle.folder))
    assert found["program → RTL"] == ("not shown", "hwprm verify BUNDLE --junit junit.xml, beside the bundle, would")
    checks = bundle.manifest.checks
    if checks.passes:
        assert f"{checks.pass_images} sample images" in found["integers → program"][0]
        assert found["integers → program"][1] == "the compiler, before it wrote the bundle"
    else:
        assert found["integers → program"] == ("no pass of the compiler was compared", "hwprm compile would")
    kept = rows(replace(gather(bundle.folder), bundle=_checked(bundle, crosscheck_images=4)))["float model → integers"]
    twice = "the integers computed twice, in torch and in numpy, equal on 4 images"
    assert kept[0] == f"how much they differ is not kept in a bundle; {twice}"
    assert kept[1] == "the quantiser, before the bundle was made"
    alone = rows(replace(gather(bundle.folder), bundle=_checked(bundle)))
    assert alone["float model → integers"] == ("not shown", "hwprm quantize would")


def _checked(bundle: Bundle, **checks: int) -> Bundle:
    """`bundle` as if these were its checks."""
    return replace(bundle, manifest=replace(bundle.manifest, checks=ChecksEntry(**checks)))


def test_results_beside_a_bundle(bundle: Bundle) -> None:
    beside = bundle.folder.parent
    write_junit(verified(bundle, "a wrong integer"), beside / RESULTS)
    shown, by = rows(gather(bundle.folder))["program → RTL"]
    assert shown.startswith("NOT equal: ")
    assert by == "hwprm verify, seed 1"


def test_a_netlist_s_results_are_of_the_netlist_alone(bundle: Bundle) -> None:
    beside, report = bundle.folder.parent, replace(verified(bundle), netlist="ecp5")
    write_junit(report, beside / RESULTS)
    found = rows(gather(bundle.folder))
    assert found["program → RTL"][0] == found["RTL → netlist"][0] == "not shown", (
        "of the netlist, in the bundle's place"
    )
    write_junit(verified(bundle), beside / RESULTS)
    write_junit(report, beside / NETLIST_RESULTS)
    found = rows(gather(bundle.folder))
    assert found["program → RTL"][1] == "hwprm verify, seed 1"
    shown, by = found["RTL → netlist"]
    assert shown.startswith("equal in every integer: ")
    assert by == "hwprm verify of the netlist in ecp5 cells, seed 1"


def test_coverage_is_the_same_from_the_run_and_from_its_results(finished: Path, bundle: Bundle) -> None:
    write_junit(verified(bundle), bundle.folder.parent / RESULTS)
    whole, alone = gather(finished), gather(bundle.folder)
    assert whole.facts["verify"]["coverage"] == alone.facts["verify"]["coverage"]
    assert json.loads((finished / "report.json").read_text())["verify"]["coverage"]["goals"] > 0
    (section,) = verification_section(alone)
    captions = [part.caption for part in section.parts if isinstance(part, Table)]
    assert captions[1].startswith("What the images reach: ")
    suites = section.parts[captions.index("Test suites")]
    assert isinstance(suites, Table)
    assert not any("coverage" in row[0] for row in suites.rows)


def test_coverage_tables() -> None:
    row = {
        "name": "conv",
        **{"goals": 1_009, "reached": 1_004, "compared": 2, "unreachable": 3, "open": 2},
        "names": {"unreachable": ["below", "code 1..2"], "open": ["tie"]},
        "filters": {
            "below": {"of": 7, "reached": 0, "unreachable": 7},
            "above": {"of": 7, "reached": 5, "unreachable": 0},
        },
    }
    full = {"name": "image", "goals": 2, "reached": 2, "compared": 2, "unreachable": 0, "open": 0}
    full |= {"names": {"unreachable": [], "open": []}, "filters": {}}
    sums = {"goals": 1_011, "reached": 1_006, "compared": 4, "unreachable": 3, "open": 2}
    table, missed = coverage_tables({**sums, "layers": [full, row]})
    assert table.rows == (
        ("image", "2", "2", "2", "0", "0", "", ""),
        ("conv", "1,009", "1,004", "2", "3", "2", "0 of 7, 7 cannot", "5 of 7"),
        ("all", "1,011", "1,006", "4", "3", "2", "", ""),
    )
    assert missed.rows == (("conv", "below; code 1..2", "tie"),)
    assert len(list(coverage_tables({**sums, "layers": [full]}))) == 1
