"""The size model against committed figures of synthesis, and what it refuses."""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from hwprm import api
from hwprm.config import SiliconConfig
from hwprm.core.errors import ConfigError, UnsupportedError
from hwprm.emission.ports import read_ports, top_ports
from hwprm.isa.registers import ADDRESS_BITS
from hwprm.targets.model import dsp_blocks, is_wrapped, predict
from hwprm.targets.sizes.design import Design, port_bits
from hwprm.targets.sizes.memories import Contents
from hwprm.targets.synth import silent, synthesise

ROOT = Path(__file__).resolve().parents[3]
#: Largest error, in per cent, of designs that were fitted to and of others; those of `EXACT` have none.
FITTED = {"lut4": 5.0, "ff": 4.0, "comb": 4.0}
OTHERS = {"lut4": 5.0, "ff": 2.5, "comb": 4.5}
#: Designs that are further off, by how much in LUTs, in per cent: most of it is in the logic of their host's side.
MISSED = {"verdict/14": -7.7, "verdict/17": -5.25}
EXACT = ("dsp", "bram", "lutram")
#: What names of designs begin with that the coefficients are fitted to.
SEEN = ("fit/", "test/", "unseen/", "final/", "tables/", "last/", "closing/", "sealed/", "witness/")

#: Designs by which a rule was found, and the largest error in LUTs, in per cent, that they have with it.
RULES = {
    "last/9": 2.0,  # LUT RAMs one behind another, and requantisers, that end the longest path are mapped for speed
    "last/17": 2.0,  # the same of requantisers alone
    "last/3": 3.0,  # phases of stores to one bank choose between words alone
    "last/8": 1.0,  # the step of a lane's column is added in as many LUTs as it has bits
    "test/3": 4.0,  # a walker of batches takes what its images' words take, few where these are small
    "closing/17": 2.0,  # the words of a batch's lanes, where rows and images end, are mapped for speed
    "closing/4": 4.0,  # the same, less so, as stores take as long
    "final/19": 4.0,  # the same with external memory
    "witness/3": 3.0,  # what two lanes read of three banks is a function of six bits, an address there one of five
    "witness/23": 4.5,  # a batch's walker in the fast pipeline is mapped for speed where rows' ends add to its word
    "sealed/1": 3.0,  # and not where they do not
    "last/23": 5.0,  # descriptors that come from outside are in registers, not in front of multiplexers
}
#: Predicted by synthesised of the smallest design.
OFF = {"ff": 1.048, "lut4": 1.142}


@cache
def _measured() -> dict[str, tuple[Design, dict[str, int]]]:
    """Designs and what synthesis made of them, by name."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        from resources_draw import design_of
    finally:
        sys.path.pop(0)
    rows = json.loads((ROOT / "benchmarks" / "results" / "resources.json").read_text())["designs"]
    return {row["name"]: (design_of(row), row["used"]) for row in rows}


def _errors(key: str, *, fitted: bool) -> list[float]:
    """In per cent."""
    missed = MISSED if key == "lut4" else ()
    chosen = [each for name, each in _measured().items() if name.startswith(SEEN) == fitted and name not in missed]
    found = [(predict(design, "ecp5-85k").used[key], used[key]) for design, used in chosen]
    return [100 * abs(guess - real) / max(1, real) for guess, real in found]


@pytest.mark.parametrize("key", EXACT)
def test_blocks_are_exact(key: str) -> None:
    measured = _measured()
    assert len(measured) >= 234
    off = {name: predict(design, "ecp5-85k").used[key] - used[key] for name, (design, used) in measured.items()}
    assert {name: by for name, by in off.items() if by} == {}


@pytest.mark.parametrize("key", FITTED)
def test_logic(key: str) -> None:
    assert max(_errors(key, fitted=True)) < FITTED[key]
    others = _errors(key, fitted=False)
    assert max(others) < OTHERS[key]
    assert statistics.median(others) < 2


def test_designs_that_are_missed() -> None:
    off = {
        name: 100 * (predict(design, "ecp5-85k").used["lut4"] / used["lut4"] - 1)
        for name, (design, used) in _measured().items()
    }
    assert {name: by for name, by in off.items() if abs(by) >= OTHERS["lut4"]} == pytest.approx(MISSED, abs=0.2)


@pytest.mark.parametrize("name", RULES)
def test_rules_of_single_designs(name: str) -> None:
    design, used = _measured()[name]
    assert predict(design, "ecp5-85k").used["lut4"] == pytest.approx(used["lut4"], rel=RULES[name] / 100)


@pytest.mark.parametrize("kind", ["posts", "gates", "common"])
def test_designs_with_tables_and_with_products(kind: str) -> None:
    """They are as near as others, and exact where others are."""
    chosen = [each for name, each in _measured().items() if getattr(each[0].hardware, kind) and name not in MISSED]
    assert len(chosen) >= 6
    for design, used in chosen:
        guess = predict(design, "ecp5-85k").used
        assert {key: guess[key] for key in EXACT} == {key: used[key] for key in EXACT}
        assert guess["ff"] == pytest.approx(used["ff"], rel=OTHERS["ff"] / 100)
        assert guess["lut4"] == pytest.approx(used["lut4"], rel=OTHERS["lut4"] / 100)


def test_the_gateware_is_still_that_of_the_model(small_bundle: Path, tmp_path: Path) -> None:
    """A design of 1 x 1, synthesised now: what changes the gateware's size by more than this wants a new fit.

    Of an array so small much more is constant than of others, and the model is further off.
    """
    found = synthesise(small_bundle, SiliconConfig(target="ecp5-85k", work=tmp_path), silent)
    guess, used = api.size(small_bundle).used, found.used
    assert {key: guess[key] for key in EXACT} == {key: used[key] for key in EXACT}
    assert {key: guess[key] / used[key] for key in OFF} == pytest.approx(OFF, rel=0.03)


def test_multipliers_as_synthesis_found_them() -> None:
    hardware = next(design.hardware for design, _ in _measured().values() if design.hardware.external)
    found = {("short", 18): 1, ("short", 19): 1, ("short", 20): 2, ("fast", 18): 1, ("fast", 19): 2, ("fast", 32): 2}
    for (pipeline, bits), lane in found.items():
        made = replace(hardware, rows=2, cols=3, pipeline=pipeline, sum_bits=bits, residual_bits=0)
        assert dsp_blocks(Design(hardware=made, contents=Contents(made, {}))) == 2 * (3 + lane)


def test_ports_are_those_of_the_top() -> None:
    kinds = set()
    for design, _ in _measured().values():
        hw = design.hardware
        ports = top_ports(8 * hw.data_bytes, ADDRESS_BITS) + (read_ports(hw.external.beat_bits) if hw.external else ())
        sides = [sum(p.width for p in ports if (p.direction == "input") == way) for way in (True, False)]
        assert port_bits(hw) == (sides[0] - 2, sides[1])  # clock and reset are left out
        kinds.add(bool(hw.external))
    assert kinds == {False, True}


def test_unknown_device_and_family_without_model() -> None:
    design = next(iter(_measured().values()))[0]
    with pytest.raises(ConfigError, match="ecp5-85k"):
        predict(design, "ecp5-85")
    with pytest.raises(UnsupportedError, match="no size model for the family ice40"):
        predict(design, "ice40-hx8k")
    cells = Design(hardware=design.hardware, contents=design.contents, cells="ice40")
    with pytest.raises(
        ConfigError, match=r"^ecp5-85k has no cells of ice40; choose them with --emit-target ecp5, or any"
    ):
        predict(cells, "ecp5-85k")
    with pytest.raises(UnsupportedError, match="no size model for the family ice40"):
        predict(cells, "ice40-up5k")


def test_design_in_plain_verilog_and_in_cells() -> None:
    """The accumulators' clearing costs LUTs in plain Verilog, registers behind the products flip-flops."""
    design = next(d for d, _ in _measured().values() if d.cells == "any" and d.hardware.rows * d.hardware.cols > 3)
    cells = Design(hardware=design.hardware, contents=design.contents, cells="ecp5")
    plain, own = predict(design, "ecp5-85k").used, predict(cells, "ecp5-85k").used
    assert plain["lut4"] > own["lut4"]
    assert plain["ff"] > own["ff"]
    assert plain["bram"] == own["bram"]
    assert is_wrapped(design.hardware, predict(design, "ecp5-85k").device) == bool(design.hardware.external)
