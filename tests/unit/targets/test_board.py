"""A bundle on a board with stand-ins for the tools: top, pins, clock, what is written, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import hwprm
from hwprm.bundle import Bundle
from hwprm.config import EmitConfig
from hwprm.core.errors import ConfigError, TimingError
from hwprm.emission import host_of
from hwprm.targets.board import build_board, plan_board
from hwprm.targets.boards.catalogue import BOARDS
from hwprm.targets.boards.site import read_site
from hwprm.targets.boards.top import board_verilog
from hwprm.targets.flow.carrier import divided
from hwprm.targets.synth import Synthesis, silent
from tests.conftest import Run
from tests.support.silicon import make_bundle
from tests.unit.targets.conftest import Configured


def _bundle(folder: Path, clock: float, baud: int, target: str = "any") -> Path:
    host = host_of(EmitConfig(host="uart", clock=clock, baud=baud))
    return make_bundle(folder / f"b{clock:g}-{target}", target=target, host=host)


@pytest.fixture(scope="module")
def slow_line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 MHz, the iCEBreaker's own clock."""
    return _bundle(tmp_path_factory.mktemp("board"), 12, 3_000_000)


@pytest.mark.sim
@pytest.mark.parametrize("name", BOARDS)
def test_every_top_is_verilog_of_its_pins(name: str, slow_line: Path, tmp_path: Path) -> None:
    site = read_site(BOARDS[name])
    (tmp_path / "top.v").write_text(board_verilog(site, next(iter(divided(site.mhz))), name))
    iverilog = shutil.which("iverilog")
    assert iverilog
    done = subprocess.run(
        [
            *(iverilog, "-Wall", "-o", str(tmp_path / "out"), "-s", "hwprm_board", str(tmp_path / "top.v")),
            *map(str, Bundle.load(slow_line).sources()),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "top.v" in line]) == (0, [])
    ports = (tmp_path / "top.v").read_text().partition("(\n    input")[2].partition(");")[0]
    assert ports.count("wire ") == len(site.pins)


def test_what_the_tools_are_given(slow_line: Path, notes: Path, configured: Configured) -> None:
    found = build_board(slow_line, "icebreaker", configured(), silent)
    synthesis, placement = notes.read_text().splitlines()
    script = (found.placement.synthesis.folder / "run.ys").read_text()
    assert "rtl/hwprm_board.v" in script and "-top hwprm_board" in script
    assert "--up5k --package sg48" in placement and "--freq 12 " in placement
    assert "--pcf pins.pcf" in placement
    pins = (found.placement.best.folder / "pins.pcf").read_text()
    lines = ("clk_pin 35", "-pullup yes rx 6", "-pullup yes tx 9", "button 10", "busy 37", "error 11")
    assert pins.splitlines() == [f"set_io {line}" for line in lines]
    board = found.facts["board"]
    manifest = found.plan.bundle.manifest
    assert (board["clock_mhz"], board["baud"], board["baud_made"]) == (12, 3_000_000, 3_000_000)
    assert board["images_per_second"] == {
        "array": round(12e6 / manifest.cycles.image, 2),
        "wire": round(12e6 / max(manifest.host_cycles), 2),
        "both": round(12e6 / max(manifest.host_cycles), 2),
    }
    assert found.missed is None
    again = build_board(slow_line, "icesugar", configured(), silent)
    assert len(notes.read_text().splitlines()) == 4, "other pins are another run"
    assert again.facts["board"]["pins"]["rx"] == "4"


def test_another_package_and_speed(tmp_path: Path, notes: Path, configured: Configured) -> None:
    found = build_board(_bundle(tmp_path, 36, 1_000_000), "orangecrab", configured(), silent)
    assert "--25k --package CSFBGA285 --speed 8" in notes.read_text()
    assert found.facts["part"] == "LFE5U-25F-8MG285"
    assert found.facts["board"]["clocking"] == "EHXPLLL: 48 MHz * 3 / 4, oscillator 612 MHz"


def test_a_clock_that_the_design_misses(run: Run, tmp_path: Path, notes: Path, configured: Configured) -> None:
    bundle = _bundle(tmp_path, 60, 3_000_000)
    found = build_board(bundle, "icebreaker", configured(), silent)
    assert isinstance(found.missed, TimingError)
    words = str(found.missed)
    assert words.startswith("icebreaker: ice40-up5k runs at 41.0 MHz, not 60: ")
    assert words.endswith("; compile it again with --emit-clock 39.75, which it reaches")
    EmitConfig(host="uart", clock=39.75, baud=3_000_000)
    done = run("board", bundle, "--json", board="icebreaker", out=tmp_path / "out", work=configured().work)
    assert done.exit_code == 4 and "--emit-clock 39.75" in done.stderr
    assert "bitstream" not in json.loads(done.stdout)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"hwprm_board.v", "pins.pcf", "silicon.json"} <= names and "design.bit" not in names


def test_the_folder_that_the_verb_leaves(
    run: Run, slow_line: Path, tmp_path: Path, notes: Path, configured: Configured
) -> None:
    options = {"board": "icebreaker", "work": configured().work}
    done = run("board", slow_line, out=tmp_path / "out", **options)
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "out" / "design.bit").read_text() == "placed with seed 1\n"
    facts = json.loads((tmp_path / "out" / "silicon.json").read_text())
    assert facts["board"]["name"] == "icebreaker"
    assert "On the board: icebreaker" in done.stdout and "12 MHz, the board's own" in done.stdout
    assert f"load it: iceprog {tmp_path / 'out' / 'design.bit'}" in done.stderr
    assert f"next: hwprm run {slow_line} --port" in done.stderr
    file = tmp_path / "my.bin"
    done = run("board", slow_line, "--json", bitstream=file, out=tmp_path / "other", **options)
    assert json.loads(done.stdout)["bitstream"] == str(file) and file.is_file()
    assert not (tmp_path / "other" / "design.bit").exists()
    assert run("board", slow_line, out=tmp_path / "out", **options).exit_code == 2
    assert hwprm.board(slow_line, "icebreaker", configured()).missed is None


def test_what_is_no_design_for_a_board(run: Run, slow_line: Path, small_bundle: Path, tmp_path: Path) -> None:
    def refused(bundle: Path, name: str) -> str:
        with pytest.raises(ConfigError) as error:
            plan_board(bundle, name)
        return str(error.value)

    assert "talks by axi, and icebreaker has a serial line; compile its network again with --emit-host uart " in (
        text := refused(small_bundle, "icebreaker")
    )
    assert "--emit-clock 12 --emit-baud 1000000" in text
    EmitConfig(host="uart", clock=12, baud=1_000_000)
    text = refused(slow_line, "ulx3s-85f")  # where the detector of the PLL compares 12.5 MHz or 25
    assert text == (
        "ulx3s-85f cannot make a clock of 12 MHz of its 25 MHz, nor one below it that keeps 3000000 baud within 2 per "
        "cent; compile the network again with --emit-clock 50"
    )
    EmitConfig(host="uart", clock=50, baud=3_000_000)
    text = refused(_bundle(tmp_path, 1000, 250_000_000), "ulx3s-85f")
    assert text.endswith("with --emit-clock 400, with a lower --emit-baud")
    own = _bundle(tmp_path, 12, 1_000_000, "ecp5")
    assert run("board", own, board="icebreaker", out=tmp_path / "out").exit_code == 2
    assert not (tmp_path / "out").exists()
    done = run("board", slow_line, board="icebraker", out=tmp_path / "out")
    assert done.exit_code == 2 and "did you mean 'icebreaker'?" in done.stderr


def test_bundles_of_external_memory_and_of_other_versions(slow_line: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.load(slow_line)
    line = bundle.manifest.serial
    assert line is not None
    for changed, words in (
        ({"serial": replace(line, clock=None, baud=None)}, "does not keep the clock that its serial line was made for"),
        ({"external": object()}, "reads its weights from an external memory, .* --weights rom --emit-host uart"),
    ):
        other = replace(bundle, manifest=replace(bundle.manifest, **changed))
        monkeypatch.setattr(Bundle, "load", lambda folder, other=other: other)
        with pytest.raises(ConfigError, match=words):
            plan_board(slow_line, "icebreaker")


def test_too_many_multipliers_are_refused_before_any_tool_runs(
    run: Run, tmp_path: Path, notes: Path, configured: Configured
) -> None:
    host = host_of(EmitConfig(host="uart", clock=50, baud=1_000_000))
    bundle = make_bundle(tmp_path / "large", size=8, host=host, target="ecp5")
    done = run("board", bundle, board="ulx3s-12f", out=tmp_path / "out", work=configured().work)
    assert done.exit_code == 2 and notes.read_text() == ""
    assert "the design does not fit ecp5-12k" in done.stderr and "of 28" in done.stderr
    assert "the largest array that fits is " in done.stderr


def test_too_large(
    slow_line: Path, notes: Path, run: Run, configured: Configured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Synthesis, "over", {"dsp": (9, 8)})
    done = run("board", slow_line, board="icebreaker", out=tmp_path / "out", work=configured().work)
    assert done.exit_code == 2
    assert "9 DSP (SB_MAC16) of 8 (1.12 times)" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "clock", "baud"),
    [
        ("icebreaker", 12, 3_000_000),
        ("icebreaker", 24, 6_000_000),
        ("ice40-hx8k-evn", 24, 3_000_000),
        ("orangecrab", 36, 1_000_000),
        ("ecpix5-45f", 50, 1_000_000),
        ("icepi-zero", 50, 1_000_000),
        ("ulx3s-12f", 25, 1_000_000),
    ],
)
def test_bitstreams_by_the_real_tools(name: str, clock: float, baud: int, tmp_path: Path, work: Path, run: Run) -> None:
    """Every package, kind of PLL and file of pins, on a design as small as one can be."""
    done = run("board", _bundle(tmp_path, clock, baud), "--json", board=name, out=tmp_path / "out", work=work)
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["clock_met"] and facts["fmax_mhz"] > clock == facts["board"]["clock_mhz"]
    assert facts["placed"]["io"] == len(facts["board"]["pins"])
    assert (tmp_path / "out" / "design.bit").stat().st_size > 30_000
    # A pin that the file of constraints does not name, or names and nobody has, is a warning of nextpnr's.
    log = next((tmp_path / "out").glob("nextpnr-*.log")).read_text()
    assert "unconstrained" not in log and "unmatched" not in log.lower()
