"""Synthesis with a stand-in for yosys: what is kept, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hwprm.core.errors import BundleError, ConfigError, ToolError
from hwprm.targets import TARGETS, find_target, synthesis_facts, synthesise
from hwprm.targets.synth import silent
from tests.support.silicon import make_bundle, stand_in
from tests.unit.targets.conftest import Configured


def test_counts_against_the_device(small_bundle: Path, notes: Path, configured: Configured) -> None:
    found = synthesise(small_bundle, configured(target="ecp5-45k"), silent)
    facts = synthesis_facts(found)
    assert facts["lut4"] == facts["resources"]["lut4"]["used"] == found.counts.cells["LUT4"]
    assert facts["resources"]["dsp"] == {"title": "DSP (MULT18X18D)", "used": 4, "available": 72}
    assert facts["resources"]["io"] == {"title": "ports, bits", "used": 152, "available": 203}
    used = facts["resources"]
    assert used["comb"]["used"] == used["lut4"]["used"] + 2 * used["carry"]["used"] + 4 * used["lutram"]["used"]
    assert sum(block["lut4"] for block in facts["blocks"].values()) == facts["lut4"]
    assert (facts["fits"], facts["wrapped"]) == (True, False)


def test_kept_by_design_options_and_tool(small_bundle: Path, notes: Path, configured: Configured) -> None:
    told: list[str] = []
    for target in ("ecp5-85k", "ecp5-85k", "ecp5-45k", "ice40-hx8k"):
        synthesise(small_bundle, configured(target=target), lambda stage, done, total: told.append(stage))
    assert notes.read_text().split() == ["yosys", "run.ys"] * 2, "ECP5 devices share one synthesis"
    assert "yosys: reading" in told
    folders = list((configured().work or Path()).glob("silicon/*"))
    assert len(folders) == 2
    assert all(not (folder / "rtl").exists() for folder in folders)


def test_a_device_with_few_pins_gets_a_wrapper(small_bundle: Path, notes: Path, configured: Configured) -> None:
    found = synthesise(small_bundle, configured(target="ice40-up5k"), silent)
    script = (found.folder / "run.ys").read_text()
    assert found.wrapped
    assert "rtl/hwprm_pins.v" in script
    assert "synth_ice40 -top hwprm_pins -dsp -device u" in script


def test_unknown_target() -> None:
    with pytest.raises(
        ConfigError, match=r"^silicon\.target: no device is called 'ecp5-80k'; did you mean 'ecp5-85k'\?$"
    ):
        find_target("ecp5-80k")
    assert {"generic", "ecp5-12k", "ecp5-25k", "ecp5-45k", "ecp5-85k", "ice40-up5k", "ice40-hx8k"} <= set(TARGETS)


def test_edited_bundle(small_bundle: Path, notes: Path, configured: Configured, tmp_path: Path) -> None:
    copy = shutil.copytree(small_bundle, tmp_path / "copy")
    (copy / "rtl" / "hwprm_top.v").write_text("module hwprm_top; endmodule\n")
    with pytest.raises(BundleError, match=r"rtl/hwprm_top\.v was edited"):
        synthesise(copy, configured(), silent)
    assert notes.read_text() == ""


def test_crash(small_bundle: Path, notes: Path, configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, notes, fail="yosys")
    with pytest.raises(ToolError, match=r"yosys 1\.2 \(a test\) failed with exit code 3; the end .*\n.*\nsome words"):
        synthesise(small_bundle, configured(), silent)
    assert list((configured().work or Path()).glob("silicon/*")) == []


def test_too_slow(small_bundle: Path, notes: Path, configured: Configured) -> None:
    with pytest.raises(ToolError, match=r"took more than 0\.001 seconds; allow it more with --timeout"):
        synthesise(small_bundle, configured(timeout=0.001), silent)


def test_cells_of_another_family(notes: Path, configured: Configured, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", target="ecp5")
    words = (
        r"^bundle is written in cells of ecp5, which ice40-hx8k does not have; compile it again without --emit-target$"
    )
    with pytest.raises(ConfigError, match=words):
        synthesise(bundle, configured(target="ice40-hx8k"), silent)
    found = synthesise(bundle, configured(target="ecp5-85k"), silent)
    assert "rtl/hwprm_cells.v" in (found.folder / "run.ys").read_text()
    own = make_bundle(tmp_path / "ice40", target="ice40")
    for name in ("ice40-hx8k", "ecp5-85k"):  # of the same family, without a multiplier; of another
        with pytest.raises(ConfigError, match=f"^ice40 is written in cells of ice40, which {name} does not have; "):
            synthesise(own, configured(target=name), silent)
    found = synthesise(own, configured(target="ice40-up5k"), silent)
    assert "rtl/hwprm_cells.v" in (found.folder / "run.ys").read_text()
