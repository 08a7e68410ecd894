"""Clocks on boards: the PLLs' arithmetic against the vendors' rules and programs, and files of pins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

import pytest

from hwprm.targets.families.ecp5.board import CARRIER as ECP5
from hwprm.targets.families.ice40.board import CARRIER as ICE40
from hwprm.targets.flow.carrier import Carrier, Clocking, Pin, best_clocking, divided, nearest_clocks

FAMILIES: Mapping[str, tuple[Carrier, str]] = {"ecp5": (ECP5, "G2"), "ice40": (ICE40, "35")}


def _ways(family: str, source: int) -> list[Clocking]:
    carrier, site = FAMILIES[family]
    return list(carrier.clockings(Fraction(source), site))


def _number(way: Clocking, name: str) -> int:
    found = re.search(rf"\.{name}\((?:\d'd)?(\d+)\)", way.verilog)
    assert found, way.verilog
    return int(found[1])


def _best(family: str, source: int, wanted: float) -> Clocking:
    found = best_clocking(_ways(family, source), Fraction(wanted))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("source", "wanted", "made", "dividers"),
    [  # as ecppll --clkin SOURCE --clkout0 WANTED has them: CLKI_DIV, CLKFB_DIV, CLKOP_DIV
        (25, 50, 50, (1, 2, 12)),
        (25, 75, 75, (1, 3, 8)),
        (25, 100, 100, (1, 4, 6)),
        (25, 125, 125, (1, 5, 5)),
        (48, 96, 96, (1, 2, 6)),
        (100, 75, 75, (4, 3, 8)),
        (25, 110, 100, (1, 4, 6)),  # the detector of 5 MHz that 110 would take is too slow
    ],
)
def test_ecp5_as_the_vendor_s_formula_has_it(
    source: int, wanted: float, made: float, dividers: tuple[int, int, int]
) -> None:
    way = _best("ecp5", source, wanted)
    assert float(way.mhz) == made
    assert tuple(_number(way, name) for name in ("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV")) == dividers


@pytest.mark.parametrize(
    ("source", "wanted", "made", "dividers"),
    [  # as icepll -i SOURCE -o WANTED has them: DIVR, DIVF, DIVQ, FILTER_RANGE
        (12, 16.5, 16.5, (0, 87, 6, 1)),
        (12, 24, 24, (0, 63, 5, 1)),
        (12, 30, 30, (0, 79, 5, 1)),
        (12, 48, 48, (0, 63, 4, 1)),
        (12, 60, 60, (0, 79, 4, 1)),
        (12, 100, 99, (0, 65, 3, 1)),  # icepll takes 100.5, which is above
        (100, 120, 120, (4, 47, 3, 2)),
    ],
)
def test_ice40_as_icepll_has_it(source: int, wanted: float, made: float, dividers: tuple[int, int, int, int]) -> None:
    way = _best("ice40", source, wanted)
    assert float(way.mhz) == made
    assert tuple(_number(way, name) for name in ("DIVR", "DIVF", "DIVQ", "FILTER_RANGE")) == dividers


@pytest.mark.parametrize("source", [12, 25, 48, 50, 100])
def test_every_clock_keeps_the_ecp5_s_limits(source: int) -> None:
    ways = [way for way in _ways("ecp5", source) if "EHXPLLL" in way.verilog]
    assert ways
    for way in ways:
        before, times, behind = (_number(way, name) for name in ("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV"))
        assert all(1 <= number <= 128 for number in (before, times, behind))
        assert 10 <= source / before <= 400
        assert way.mhz == Fraction(source, before) * times
        assert 10 <= way.mhz <= 400
        assert 400 <= way.mhz * behind <= 800


@pytest.mark.parametrize("source", [12, 48, 100])
def test_every_clock_keeps_the_ice40_s_limits(source: int) -> None:
    ways = [way for way in _ways("ice40", source) if "PLL40" in way.verilog]
    assert ways
    for way in ways:
        before, times, halvings = (_number(way, name) for name in ("DIVR", "DIVF", "DIVQ"))
        assert (before <= 15, times <= 127, 1 <= halvings <= 6) == (True, True, True)
        compared = Fraction(source, before + 1)
        assert 10 <= compared <= 133
        assert 533 <= compared * (times + 1) <= 1066
        assert way.mhz == compared * (times + 1) / 2**halvings
        assert 16 <= way.mhz <= 275


def test_no_pll_where_none_is_needed_or_none_can_be() -> None:
    own = _best("ice40", 12, 12)
    assert own.words == "the board's own" and "assign clk = clk_pin;" in own.verilog
    slow = _best("ice40", 12, 3.5)
    assert slow.mhz == 3 and slow.words == "the board's 12 MHz divided by 4 in a counter"
    assert "passed == 1 ? 0" in slow.verilog
    assert "reg [0:0] passed" in next(way for way in divided(Fraction(12)) if way.mhz == 6).verilog
    assert best_clocking(divided(Fraction(12)), Fraction(1, 1000)) is None


def test_a_pad_that_leads_into_the_pll_and_others() -> None:
    clocks = {site: best_clocking(ICE40.clockings(Fraction(12), site), Fraction(30)) for site in ("35", "J3")}
    assert clocks["35"] and clocks["J3"]
    assert "SB_PLL40_PAD" in clocks["35"].verilog and ".PACKAGEPIN(clk_pin)" in clocks["35"].verilog
    assert "SB_PLL40_CORE" in clocks["J3"].verilog and ".REFERENCECLK(clk_pin)" in clocks["J3"].verilog


def test_the_clocks_next_to_one() -> None:
    assert nearest_clocks(_ways("ecp5", 25), Fraction(80)) == [75, Fraction(175, 2)]
    assert nearest_clocks(_ways("ecp5", 25), Fraction(1000)) == [400]
    assert nearest_clocks([], Fraction(10)) == []


def test_files_of_pins() -> None:
    pins = (
        Pin(port="rx", site="M1", input=True, attributes={"IO_TYPE": "LVCMOS33", "DRIVE": "4", "PULLUP": "1"}),
        Pin(port="busy", site="B2", input=False, invert=True, attributes={"IO_TYPE": "LVCMOS33", "DRIVE": "4"}),
    )
    assert ECP5.constraints(pins, Fraction(25)).splitlines() == [
        'LOCATE COMP "rx" SITE "M1";',
        'IOBUF PORT "rx" IO_TYPE=LVCMOS33 PULLUP=1;',
        'LOCATE COMP "busy" SITE "B2";',
        'IOBUF PORT "busy" IO_TYPE=LVCMOS33 DRIVE=4;',
        'FREQUENCY PORT "clk_pin" 25 MHZ;',
    ]
    assert ICE40.constraints(pins, Fraction(12)).splitlines() == ["set_io -pullup yes rx M1", "set_io busy B2"]
