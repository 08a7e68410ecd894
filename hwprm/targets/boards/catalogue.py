"""Boards by name: which of their parts a design hangs on. Pins, clocks and packages are those of amaranth-boards.

A place is written as amaranth-boards names a part: ``led``, ``led#1``, ``uart.rx``; ``@io:0`` is pin 0 of a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwprm.config.options import nearest
from hwprm.core.errors import ConfigError

__all__ = ["BOARDS", "Board", "find_board"]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board: its class `platform` in the module `module` of amaranth_boards, and the places of what a design needs.

    `reset` is a button; None where the board has none. `high` are outputs that are 1 for as long as the design runs.
    """

    name: str
    module: str
    platform: str
    #: Device in `hwprm.targets.catalogue`, of whatever package.
    target: str
    #: The line that loads a bitstream, with ``{file}`` for it.
    load: str
    rx: str = "uart.rx"
    tx: str = "uart.tx"
    reset: str | None = "button"
    busy: str | None = "led"
    error: str | None = "led#1"
    high: tuple[str, ...] = ()
    #: What its user has to know of the line.
    note: str = "the serial line is the board's own USB"


#: By hand: two wires and a ground to a USB serial adapter.
ADAPTER = "a serial adapter of 3.3 V hangs on"


def _ulx3s(size: int) -> Board:
    # Nothing else keeps the ESP32 from taking the board over: gpio0 low at its start is its boot loader.
    return Board(
        name=f"ulx3s-{size}f",
        module="ulx3s",
        platform=f"ULX3S_{size}F_Platform",
        target=f"ecp5-{size}k",
        load="openFPGALoader -b ulx3s {file}",
        reset="button_fire",
        high=("esp32.gpio0",),
        note="the serial line is the FT231X behind US1, at most 3 Mbaud",
    )


def _orangecrab(size: int) -> Board:
    return Board(
        name="orangecrab" if size == 25 else f"orangecrab-{size}f",
        module="orangecrab_r0_2",
        platform=f"OrangeCrabR0_2_{size}FPlatform",
        target=f"ecp5-{size}k",
        load="dfu-util -a 0 -D {file}",
        rx="@io:0",
        tx="@io:1",
        busy="rgb_led.g",
        error="rgb_led.r",
        note=f"its USB has no serial chip: {ADAPTER} pins 0 (in) and 1 (out) of the header",
    )


def _ecpix(size: int) -> Board:
    return Board(
        name=f"ecpix5-{size}f",
        module="ecpix5",
        platform=f"ECPIX5{size}Platform",
        target=f"ecp5-{size}k",
        load="openFPGALoader -b ecpix5 {file}",
        reset="rst",
        busy="rgb_led.g",
        error="rgb_led#1.r",
        note="the serial line is the second port of the FT2232H",
    )


_ALL = (
    *map(_ulx3s, (12, 25, 45, 85)),
    *map(_orangecrab, (25, 85)),
    *map(_ecpix, (45, 85)),
    Board(
        name="icepi-zero",
        module="icepi_zero",
        platform="IcepiZero1_3Platform",
        target="ecp5-25k",
        load="openFPGALoader -b icepi-zero {file}",
    ),
    Board(
        name="icesugar-pro",
        module="icesugar_pro",
        platform="ICESugarProPlatform",
        target="ecp5-25k",
        load="copy {file} onto the board's USB drive",
        reset=None,
        busy="rgb_led.g",
        error="rgb_led.r",
    ),
    Board(
        name="icebreaker",
        module="icebreaker",
        platform="ICEBreakerPlatform",
        target="ice40-up5k",
        load="iceprog {file}",
        busy="led_g",
        error="led_r",
        note="the serial line is the second port of the FT2232H, at most 12 Mbaud",
    ),
    Board(
        name="icesugar",
        module="icesugar",
        platform="ICESugarPlatform",
        target="ice40-up5k",
        load="copy {file} onto the board's USB drive",
        reset=None,
        busy="led_g",
        error="led_r",
    ),
    Board(
        name="ice40-hx8k-evn",
        module="ice40_hx8k_b_evn",
        platform="ICE40HX8KBEVNPlatform",
        target="ice40-hx8k",
        load="iceprog -S {file}",
        reset=None,
        note="the serial line is the second port of the FT2232H",
    ),
)
#: Every board by its name.
BOARDS: Mapping[str, Board] = {board.name: board for board in _ALL}


def find_board(name: str | None) -> Board:
    """The board called `name`. Raises ConfigError, with the nearest name and all others, when there is none."""
    if name is None:
        raise ConfigError(f"board.name is not given: which board it is; give --board, one of {', '.join(BOARDS)}")
    if name not in BOARDS:
        near = nearest(name, BOARDS)
        known = "" if "known are" in near else f" Known are {', '.join(BOARDS)}"
        raise ConfigError(f"board.name: no board is called {name!r}{near}{known}")
    return BOARDS[name]
