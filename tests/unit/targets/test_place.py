"""Place and route with stand-ins: seeds, clocks, bitstreams, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprm.core.errors import InputError, TimingError, ToolError, UnsupportedError
from hwprm.targets import place_and_route, placement_facts
from hwprm.targets.synth import Synthesis, silent
from tests.support.silicon import stand_in
from tests.unit.targets.conftest import Configured


def _names(notes: Path) -> list[str]:
    return [line.split()[0] for line in notes.read_text().splitlines()]


def test_median_best_and_images(small_bundle: Path, notes: Path, configured: Configured) -> None:
    facts = placement_facts(place_and_route(small_bundle, configured(seeds=3), silent))
    assert [seed["fmax_mhz"] for seed in facts["seeds"]] == [41, 42, 43]
    assert (facts["fmax_mhz"], facts["best_seed"], facts["clock_met"], facts["slack_ns"]) == (42, 3, None, None)
    assert facts["images_per_second"] == pytest.approx(42e6 / facts["cycles_per_image"], abs=0.01)
    assert facts["latency_us"] == pytest.approx((9 + facts["cycles_per_image"]) / 42, abs=0.01)
    assert facts["placed"]["comb"] == 5310
    assert {"fmax_mhz", "lut4", "carry", "ff", "dsp", "bram", "images_per_second"} <= set(facts)


def test_more_seeds_run_the_new_ones_alone(small_bundle: Path, notes: Path, configured: Configured) -> None:
    place_and_route(small_bundle, configured(seeds=1), silent)
    assert _names(notes) == ["yosys", "nextpnr-ecp5"]
    told: list[tuple[int, int]] = []
    place_and_route(small_bundle, configured(seeds=3), lambda stage, done, total: told.append((done, total)))
    assert _names(notes) == ["yosys", *["nextpnr-ecp5"] * 3]
    assert "--seed 3" in notes.read_text().splitlines()[-1]
    assert told == sorted(told)
    assert all(done <= total for done, total in told)
    place_and_route(small_bundle, configured(seeds=1, clock=30.0), silent)
    assert len(_names(notes)) == 5, "another clock is another run"


def test_clock_met(small_bundle: Path, notes: Path, configured: Configured) -> None:
    found = place_and_route(small_bundle, configured(clock=40.0), silent)
    assert found.missed is None
    assert found.slack_ns == pytest.approx(1000 / 40 - 1000 / 41)
    assert "--freq 40 " in notes.read_text()


def test_clock_missed(small_bundle: Path, notes: Path, configured: Configured, tmp_path: Path) -> None:
    file = tmp_path / "design.bit"
    found = place_and_route(small_bundle, configured(clock=50.0, seeds=2, bitstream=file), silent)
    assert isinstance(found.missed, TimingError)
    assert found.missed.exit_code == 4
    words = str(found.missed)
    assert words.startswith("ecp5-85k runs at 42.0 MHz, not 50: the best of 2 seeds misses the clock by 3.81 ns; ")
    assert "its slowest path is rom_stores rom.mem.0.0 (5.8 ns) -> store_unit " in words
    assert not file.exists(), "a design that is too slow gets no bitstream"


def test_bitstream_of_the_fastest_seed(small_bundle: Path, notes: Path, configured: Configured, tmp_path: Path) -> None:
    file = tmp_path / "made" / "design.bit"
    place_and_route(small_bundle, configured(seeds=2, bitstream=file), silent)
    assert file.read_text() == "placed with seed 2\n"


def test_pins(small_bundle: Path, notes: Path, configured: Configured, tmp_path: Path) -> None:
    pins = tmp_path / "board.lpf"
    with pytest.raises(InputError, match=r"cannot read the pin constraints .*board\.lpf: no such file"):
        place_and_route(small_bundle, configured(pins=pins), silent)
    pins.write_text('LOCATE COMP "clk" SITE "P3";\n')
    place_and_route(small_bundle, configured(pins=pins), silent)
    pins.write_text('LOCATE COMP "clk" SITE "P4";\n')
    place_and_route(small_bundle, configured(pins=pins), silent)
    assert notes.read_text().count("--lpf pins.lpf") == 2


def test_bitstream_that_cannot_be_written(
    small_bundle: Path, notes: Path, configured: Configured, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="it is a folder"):
        place_and_route(small_bundle, configured(bitstream=tmp_path), silent)
    assert notes.read_text() == ""


def test_no_bitstream_of_ports_behind_shift_registers(
    small_bundle: Path, notes: Path, configured: Configured, tmp_path: Path
) -> None:
    config = configured(target="ice40-up5k", bitstream=tmp_path / "design.bit")
    with pytest.raises(InputError, match=r"has too few pins, .* take a larger device"):
        place_and_route(small_bundle, config, silent)
    assert not (tmp_path / "design.bit").exists()
    assert "nextpnr" not in notes.read_text()


@pytest.mark.parametrize("target", ["generic", "xc7a35t"])
def test_no_place_and_route(target: str, small_bundle: Path, notes: Path, configured: Configured) -> None:
    with pytest.raises(UnsupportedError, match=f"^{target} cannot be placed and routed here: "):
        place_and_route(small_bundle, configured(target=target), silent)
    assert notes.read_text() == ""


def test_crash(small_bundle: Path, notes: Path, configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, notes, fail="nextpnr-ecp5")
    with pytest.raises(ToolError, match=r"nextpnr-ecp5 1\.2 \(a test\) failed with exit code 3; .*\n.*\nsome words"):
        place_and_route(small_bundle, configured(), silent)
    kept = [path.name for path in (configured().work or Path()).glob("silicon/*")]
    assert [name.partition("-")[0] for name in kept] == ["synth"]


def test_too_large(small_bundle: Path, notes: Path, configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Synthesis, "over", {"dsp": (300, 156), "bram": (250, 208)})
    words = (
        r"^bundle does not fit ecp5-85k \(LFE5U-85F-6BG381\): it needs 300 DSP \(MULT18X18D\) of 156 \(1\.92 times\), "
        r"250 block RAM \(DP16KD\) of 208 \(1\.20 times\); take a larger device or a smaller array .*prune more"
    )
    with pytest.raises(InputError, match=words):
        place_and_route(small_bundle, configured(), silent)
    assert _names(notes) == ["yosys"]
