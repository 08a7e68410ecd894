"""What a family gives to the boards that carry its devices: clocks made of the board's, packages, files of pins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from hwprm.targets.flow.device import Device

__all__ = ["Carrier", "Clocking", "Pin", "best_clocking", "divided", "nearest_clocks"]

#: Most halves of the board's clock that a counter makes.
DIVIDED_BY = 1024


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A pin of the board's top: the `port` there, the `site` of the package, and what the board says of it."""

    port: str
    site: str
    input: bool
    #: Whether it is low when what it stands for is so: a button pressed, a light on.
    invert: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Clocking:
    """One way to a clock of `mhz` from the board's. `verilog` drives the wires ``clk`` and ``locked`` from ``clk_pin``.

    `words` say how, in a table.
    """

    mhz: Fraction
    words: str
    verilog: str


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """A family on boards.

    `clockings` gives every legal way to a clock from one of so many MHz at a site. `device` is the one given in the
    package and of the speed that amaranth-boards names. `constraints` is the text of pins for place and route, for a
    board's clock of so many MHz, and `suffix` that of its file.
    """

    clockings: Callable[[Fraction, str], Iterable[Clocking]]
    device: Callable[[Device, str, str], Device]
    constraints: Callable[[Sequence[Pin], Fraction], str]
    suffix: str


def best_clocking(ways: Iterable[Clocking], wanted: Fraction) -> Clocking | None:
    """The fastest of `ways` that is no faster than `wanted` MHz, the first of equal ones; None where there is none."""
    slower = [way for way in ways if way.mhz <= wanted]
    return max(slower, key=lambda way: way.mhz, default=None)


def nearest_clocks(ways: Iterable[Clocking], wanted: Fraction) -> list[Fraction]:
    """The clocks next to `wanted` below and above, those that there are."""
    clocks = {way.mhz for way in ways}
    below = max((clock for clock in clocks if clock <= wanted), default=None)
    above = min((clock for clock in clocks if clock > wanted), default=None)
    return [clock for clock in (below, above) if clock is not None]


def divided(source: Fraction) -> Iterable[Clocking]:
    """The board's clock of `source` MHz itself, and divided by even numbers in a counter."""
    yield Clocking(
        mhz=source,
        words="the board's own",
        verilog="    assign clk = clk_pin;\n    assign locked = 1'b1;\n",
    )
    for by in range(2, DIVIDED_BY + 1, 2):
        bits = max(1, (by // 2 - 1).bit_length())
        yield Clocking(
            mhz=source / by,
            words=f"the board's {float(source):g} MHz divided by {by} in a counter",
            verilog=f"""\
    reg half = 1'b0;
    reg [{bits - 1}:0] passed = 0;
    always @(posedge clk_pin) begin
        passed <= passed == {by // 2 - 1} ? 0 : passed + 1'b1;
        if (passed == {by // 2 - 1}) half <= ~half;
    end
    assign clk = half;
    assign locked = 1'b1;
""",
        )
