"""What amaranth-boards knows of a board: package, clock, and the pins of the parts that a design hangs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import Any

from hwprm.core.errors import ToolError
from hwprm.targets.boards.catalogue import Board
from hwprm.targets.flow.carrier import Pin

__all__ = ["Site", "read_site"]


#: Of pins of a header, which nothing drives while no adapter hangs on them.
HEADER = {"IO_TYPE": "LVCMOS33", "PULLMODE": "UP"}


@dataclass(frozen=True, kw_only=True)
class Site:
    """A board as it is built: `package` and `speed` as part numbers have them, its clock in MHz, pins by port."""

    package: str
    speed: str
    mhz: Fraction
    pins: Mapping[str, Pin]


def read_site(board: Board) -> Site:
    """The pins ``clk_pin``, ``rx``, ``tx``, and where the board has them ``button``, ``busy``, ``error``, ``high_0``...

    Raises ToolError when amaranth-boards is not installed, or is of a version without the board.
    """
    try:
        platform = getattr(import_module(f"amaranth_boards.{board.module}"), board.platform)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "amaranth_boards":
            raise
        raise ToolError(
            "boards' pins come from amaranth-boards, which is not installed, or too old; pip install 'hwprm[fpga]'"
        ) from None
    (clock,) = (each for each in platform.resources if each.name == platform.default_clk)
    places = {
        "clk_pin": (clock.name, True),
        "rx": (board.rx, True),
        "tx": (board.tx, False),
        "button": (board.reset, True),
        "busy": (board.busy, False),
        "error": (board.error, False),
        **{f"high_{i}": (place, False) for i, place in enumerate(board.high)},
    }
    pins = {
        port: _pin(platform, port, place, comes=comes) for port, (place, comes) in places.items() if place is not None
    }
    return Site(
        package=platform.package,
        speed=getattr(platform, "speed", ""),
        mhz=Fraction(round(clock.clock.frequency)) / 10**6,
        pins=pins,
    )


def _pin(platform: Any, port: str, place: str, *, comes: bool) -> Pin:
    """The one pin at `place`; from the outside where it `comes`."""
    if place.startswith("@"):
        header, _, number = place[1:].partition(":")
        (connector,) = (each for each in platform.connectors if each.name == header)
        return Pin(port=port, site=connector.mapping[number], input=comes, attributes=HEADER)
    parts = _signal(platform, place)
    pins = parts[-1].ios[0]
    connected = {name: pin for connector in platform.connectors for name, pin in connector}
    (site,) = pins.map_names(connected, parts[-1])
    return Pin(port=port, site=site, input=comes, invert=pins.invert, attributes=_told(parts))


def _signal(platform: Any, place: str) -> list[Any]:
    """The resource at `place`, and where it is a part of one the part behind it."""
    whole, _, part = place.partition(".")
    name, _, number = whole.partition("#")
    (resource,) = (each for each in platform.resources if (each.name, each.number) == (name, int(number or 0)))
    return [resource, *([next(each for each in resource.ios if each.name == part)] if part else [])]


def _told(parts: Sequence[Any]) -> Mapping[str, str]:
    """What is said of a pin, that of its part last."""
    found = {name: value for part in parts for name, value in part.attrs.items()}
    return {name: str(int(value) if isinstance(value, bool) else value) for name, value in found.items() if value}
