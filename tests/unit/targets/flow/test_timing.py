"""The clock and the slowest path in a real report of nextpnr-ecp5: LeNet-5 on 4 x 4, LFE5U-85F, its paths whole."""

from __future__ import annotations

import json

import pytest

from hwprm.targets.flow.timing import read_report
from tests.support.silicon import DATA

REPORT = json.loads((DATA / "ecp5_report.json").read_text())
BLOCKS = ("rom_stores", "store_unit", "memory", "registers")


def test_clock_and_counts() -> None:
    timing = read_report(REPORT, BLOCKS)
    assert timing.fmax_mhz == 48.56
    assert timing.used["TRELLIS_COMB"] == 5310
    assert "ALU54B" not in timing.used


def test_the_path_from_register_to_register_is_as_long_as_the_period() -> None:
    timing = read_report(REPORT, BLOCKS)
    assert sum(hop.ns for hop in timing.path) == pytest.approx(1000 / timing.fmax_mhz, abs=0.01)


def test_the_path_in_the_design_s_words() -> None:
    path = read_report(REPORT, BLOCKS).path
    words = [(hop.block, hop.signal) for hop in path]
    assert words[:2] == [("rom_stores", "rom.mem.0.0"), ("store_unit", "pixels_left")]
    assert words[-1] == ("store_unit", "$signal$21")
    assert (path[0].logic_ns, path[0].routing_ns) == (5.83, 0)
    assert not [word for word in words if "LUT4" in word[1] or "CCU2" in word[1]]
    assert all(one != other for one, other in zip(words, words[1:], strict=False)), "neighbours are merged"


def test_paths_from_and_to_pins_limit_no_clock() -> None:
    slow = {"from": "<async>", "to": "<async>", "path": [{**REPORT["critical_paths"][1]["path"][0], "delay": 99.0}]}
    assert read_report(REPORT | {"critical_paths": [slow, *REPORT["critical_paths"]]}, BLOCKS) == read_report(
        REPORT, BLOCKS
    )


def test_no_clock() -> None:
    with pytest.raises(ValueError, match="no clock"):
        read_report(REPORT | {"fmax": {}}, BLOCKS)
