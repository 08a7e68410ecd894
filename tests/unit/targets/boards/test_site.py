"""What amaranth-boards tells of every board, against the constraint files that the boards' makers give."""

from __future__ import annotations

import sys

import pytest

from hwprm.core.errors import ConfigError, ToolError
from hwprm.targets import find_target
from hwprm.targets.boards.catalogue import BOARDS, find_board
from hwprm.targets.boards.site import read_site

#: Sites of clock, rx, tx, button, and of what else must be driven.
MAKERS = {
    "icebreaker": ("12", {"clk_pin": "35", "rx": "6", "tx": "9", "button": "10", "busy": "37", "error": "11"}),
    "ulx3s-85f": ("25", {"clk_pin": "G2", "rx": "M1", "tx": "L4", "button": "R1", "high_0": "L2"}),
    "orangecrab": ("48", {"clk_pin": "A9", "rx": "N17", "tx": "M18", "button": "J17", "busy": "M3", "error": "K4"}),
    "ecpix5-85f": ("100", {"clk_pin": "K23", "rx": "R26", "tx": "R24", "button": "AB1"}),
    "ice40-hx8k-evn": ("12", {"clk_pin": "J3", "rx": "B10", "tx": "B12"}),
}


@pytest.mark.parametrize("name", MAKERS)
def test_pins_are_those_of_the_maker(name: str) -> None:
    site, (mhz, pins) = read_site(BOARDS[name]), MAKERS[name]
    assert str(site.mhz) == mhz
    assert {port: pin.site for port, pin in site.pins.items()}.items() >= pins.items()


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_has_a_line_a_clock_and_a_device(name: str) -> None:
    board = BOARDS[name]
    site, target = read_site(board), find_target(board.target)
    assert {"clk_pin", "rx", "tx"} <= set(site.pins)
    sites = [pin.site for pin in site.pins.values()]
    assert len(set(sites)) == len(sites)
    assert [port for port, pin in site.pins.items() if pin.input] == [
        port for port in ("clk_pin", "rx", "button") if port in site.pins
    ]
    carrier = target.family.carrier
    assert carrier is not None
    device = carrier.device(target.device, site.package, site.speed)
    assert device.part.endswith(site.package)
    assert device.available == target.device.available
    assert "{file}" in board.load


def test_lights_and_buttons_that_are_low_when_they_are_on() -> None:
    pins = read_site(BOARDS["icebreaker"]).pins
    assert [port for port, pin in pins.items() if pin.invert] == ["button", "busy", "error"]
    assert not any(pin.invert for pin in read_site(BOARDS["ulx3s-85f"]).pins.values())


def test_a_board_that_nobody_knows() -> None:
    with pytest.raises(
        ConfigError, match=r"no board is called 'ulx3s-85'; did you mean 'ulx3s-85f'\? Known are ulx3s-12"
    ):
        find_board("ulx3s-85")
    with pytest.raises(ConfigError, match=r"no board is called 'x'; known are ecpix5-45f, .* ulx3s-85f$"):
        find_board("x")
    with pytest.raises(ConfigError, match=r"board\.name is not given: .*; give --board, one of ulx3s-12f, "):
        find_board(None)


def test_without_amaranth_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amaranth_boards", None)
    monkeypatch.delitem(sys.modules, "amaranth_boards.icebreaker", raising=False)
    with pytest.raises(ToolError, match=r"boards' pins come from amaranth-boards, .* pip install 'hwprm\[fpga\]'"):
        read_site(BOARDS["icebreaker"])
