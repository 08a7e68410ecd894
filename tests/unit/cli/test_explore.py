"""`hwprm explore` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Run


def test_a_sweep_then_its_study(run: Run, tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    words = (str(tiny_model), "--rows", "1..2", "--cols", "1,2", "--data", str(tiny_data), "--validation", "30")
    facts = json.loads(run("explore", *words, "-o", str(out), "--json").stdout)
    assert len(facts["points"]) == 4 and facts["front"] and facts["out"] == str(out)
    shown = run("explore", str(out))
    assert "Front of accuracy, cycles, multipliers, onchip_bits" in shown.stdout and "4 of 4 points" in shown.stdout
    again = run("explore", *words, "-o", str(out))
    assert f"explore: goes on with the study in {out}; points that it holds are not computed again" in again.stderr
    assert again.stderr.endswith(f"result: {out}; next: hwprm explore {out} --build {facts['front'][0]}\n")
    every = run("explore", str(out), "--all")
    assert "Points: tiny, 4 of 4 points" in every.stdout
    assert sorted(path.name for path in out.iterdir() if path.suffix == ".csv") == ["front.csv", "points.csv"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--rows", "8", "--cols", "8", "--target", "ecp5-12k"), "no point fits ecp5-12k; the smallest"),
        (("--rows", "1", "--max-cycles", "10"), "no point keeps every limit; number 0 comes nearest: cycles"),
    ],
)
def test_no_point_is_left(
    run: Run, tiny_model: Path, tiny_data: Path, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    out = tmp_path / "study"
    result = run("explore", tiny_model, *words, "--data", tiny_data, "--validation", "30", "-o", out)
    assert result.exit_code == 2 and f"error: {told}" in result.stderr and "next:" not in result.stderr
    assert result.stdout == "", "no table of nothing"
    assert (
        "Points: "
        in run("explore", tiny_model, *words, "--all", "--data", tiny_data, "--validation", "30", "-o", out).stdout
    )
    shown = run("explore", out)
    assert shown.exit_code == 0 and told in shown.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--rows", "2"), "--rows has no effect"),
        (("--build", "9"), "has no point 9"),
        (("--max-cycles", "10"), "--max-cycles has no effect"),
    ],
)
def test_what_a_study_does_not_take(
    run: Run, tiny_model: Path, tiny_data: Path, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    out = tmp_path / "study"
    run("explore", str(tiny_model), "--rows", "1", "--data", str(tiny_data), "--validation", "30", "-o", str(out))
    result = run("explore", out, *words)
    assert result.exit_code == 2 and told in result.stderr


def test_build_wants_a_study(run: Run, tiny_model: Path) -> None:
    result = run("explore", tiny_model, "--build", 1)
    assert result.exit_code == 2 and "--build takes a point of a study" in result.stderr


@pytest.mark.sim
@pytest.mark.slow
def test_build(run: Run, tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    words = (tiny_model, "--rows", 2, "--data", tiny_data, "--validation", 30, "-o", out)
    assert run("explore", *words).exit_code == 0
    again = ("--build", 0, "--data", tiny_data, "-o", tmp_path / "best", "--json")
    facts = json.loads(run("explore", out, *again).stdout)
    assert facts["built"] == {name: facts["promised"][name] for name in facts["built"]} and not facts["differences"]
    assert (tmp_path / "best" / "bundle" / "manifest.json").is_file()


@pytest.mark.sim
@pytest.mark.slow
def test_build_on_a_device_says_the_clock(run: Run, tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    out, device = tmp_path / "study", ("--target", "ecp5-25k", "--clock", 400)
    assert run("explore", tiny_model, "--rows", 1, "--cols", 1, *device, "--data", tiny_data, "-o", out).exit_code == 0
    again = ("--build", 0, "--data", tiny_data, "--through", "pnr", "-o", tmp_path / "best", "--json")
    result = run("explore", out, *again)
    facts = json.loads(result.stdout)
    assert result.exit_code == 4 and "MHz, not 400" in result.stderr, "no array on an ECP5 is that fast"
    assert facts["promised"]["clock_mhz"] == 400 > facts["built"]["clock_mhz"] == facts["silicon"]["fmax_mhz"] > 0
    assert facts["promised"]["images_per_second"] > facts["built"]["images_per_second"] > 0
    assert facts["silicon"] == json.loads((tmp_path / "best/silicon/silicon.json").read_text())
