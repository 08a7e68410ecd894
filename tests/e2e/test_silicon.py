"""The verbs synth and pnr with stand-ins for the tools: results, exit codes, and one clear line where they refuse."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from hwprm.targets.flow import tools
from hwprm.targets.synth import Synthesis
from tests.conftest import Run
from tests.support.silicon import make_bundle, stand_in


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("silicon") / "bundle")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where results are kept; the tools are stand-ins."""
    stand_in(monkeypatch, tmp_path / "notes")
    return tmp_path / "cache"


def _error(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, text
    return lines[0]


def test_synth(bundle: Path, work: Path, run: Run, tmp_path: Path) -> None:
    result = run("synth", bundle, target="ecp5-25k", work=work, out=tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert re.search(r"DSP \(MULT18X18D\) +│ +4 │ +28 │ +14\.3", result.stdout)
    assert "store_unit" in result.stdout
    facts = json.loads((tmp_path / "out" / "silicon.json").read_text())
    plain = json.loads(run("synth", bundle, "--json", target="ecp5-25k", work=work).stdout)
    assert facts == plain
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "silicon.json",
        "run.ys",
        "netlist.json",
        "yosys.log",
    }
    shown = run("report", tmp_path / "out")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout == run("synth", bundle, target="ecp5-25k", work=work).stdout


def test_tables_fit_eighty_columns(bundle: Path, work: Path, run: Run) -> None:
    for target in ("ecp5-85k", "ice40-up5k"):
        result = run("pnr", bundle, target=target, work=work, seeds=3, clock=45)
        assert max(map(len, result.stdout.splitlines())) <= 80, result.stdout
        assert "MISSED" in result.stdout


def test_pnr(bundle: Path, work: Path, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "design.bit"
    result = run("pnr", bundle, target="ecp5-85k", work=work, seeds=3, bitstream=file, out=tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "42.0 (median of 41.0, 42.0, 43.0)" in result.stdout
    assert re.search(r"rom_stores +│ +rom\.mem\.0\.0 +│ +5\.83 +│ +0\.00", result.stdout)
    assert file.read_text() == "placed with seed 3\n"
    assert (tmp_path / "out" / "placed.config").is_file()


def test_clock_missed(bundle: Path, work: Path, run: Run) -> None:
    result = run("pnr", bundle, "--json", target="ecp5-85k", work=work, clock=60)
    assert result.exit_code == 4
    assert _error(result.stderr).startswith("error: ecp5-85k runs at 41.0 MHz, not 60: ")
    assert "slowest path is rom_stores rom.mem.0.0" in result.stderr
    facts = json.loads(result.stdout)
    assert (facts["clock_met"], facts["fmax_mhz"]) == (False, 41)


def test_too_large(bundle: Path, work: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Synthesis, "over", {"dsp": (300, 28)})
    result = run("synth", bundle, "--json", target="ecp5-25k", work=work)
    assert result.exit_code == 2
    assert "it needs 300 DSP (MULT18X18D) of 28 (10.71 times); take a larger device" in _error(result.stderr)
    assert json.loads(result.stdout)["fits"] is False
    assert run("pnr", bundle, target="ecp5-25k", work=work).exit_code == 2


@pytest.mark.parametrize("verb", ["synth", "pnr"])
def test_unknown_target(verb: str, bundle: Path, run: Run) -> None:
    result = run(verb, bundle, target="ecp5-85")
    assert result.exit_code == 2
    assert _error(result.stderr).endswith("no device is called 'ecp5-85'; did you mean 'ecp5-85k'?")


def test_edited_bundle(bundle: Path, work: Path, run: Run, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    (copy / "mem" / "weights.mem").write_text("00\n")
    for verb in ("synth", "pnr"):
        result = run(verb, copy, work=work)
        assert result.exit_code == 2
        assert "mem/weights.mem was edited" in _error(result.stderr)


def test_no_tool(bundle: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
    for verb, name in (("synth", "yosys"), ("pnr", "nextpnr-ecp5")):
        result = run(verb, bundle, work=tmp_path / "cache")
        assert result.exit_code == 3
        assert _error(result.stderr) == f"error: {name} is not installed; run pip install 'hwprm[fpga]'"


def test_crash(bundle: Path, work: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, tmp_path / "notes", fail="ecppack")
    result = run("pnr", bundle, work=work, bitstream=tmp_path / "design.bit", out=tmp_path / "out")
    assert result.exit_code == 3
    assert "ecppack 1.2 (a test) failed with exit code 3; the end of its log:\n" in result.stderr
    assert "some words" in result.stderr
    assert not list(tmp_path.glob("*design.bit*"))
    assert not list(tmp_path.glob("*out*"))


def test_vivado_project(bundle: Path, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "project"
    result = run("pnr", bundle, target="xc7a35t", out=out)
    assert result.exit_code == 3
    words = "no Python package places and routes 7 series devices; a project for the vendor's tool lies in "
    assert words + f"{out}, run build.tcl there" in _error(result.stderr)
    assert (out / "build.tcl").is_file()
    again = run("pnr", bundle, target="xc7a35t", out=out)
    assert (again.exit_code, "is not empty" in again.stderr) == (2, True)


def test_folder_that_is_not_empty(bundle: Path, work: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    result = run("pnr", bundle, work=work, out=tmp_path / "out")
    assert result.exit_code == 2
    assert not (tmp_path / "notes").exists(), "that was clear before anything ran"
