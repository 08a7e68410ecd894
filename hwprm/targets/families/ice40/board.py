"""iCE40 on boards: clocks of its PLL (SB_PLL40_PAD, SB_PLL40_CORE), and pins as PCF.

Limits are those of Lattice's guide (FPGA-TN-02052) and of icepll: the reference and what the phase detector compares 10
to 133 MHz, the oscillator 533 to 1066, the output 16 to 275. With the simple feedback the oscillator runs at the
reference by (DIVF + 1) / (DIVR + 1), and the output is that by 2 ** -DIVQ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from hwprm.targets.flow.carrier import Carrier, Clocking, Pin, divided
from hwprm.targets.flow.device import Device

__all__ = ["CARRIER"]

#: MHz: reference and phase detector, oscillator, output.
DETECTOR, OSCILLATOR, OUTPUT = (10, 133), (533, 1066), (16, 275)
#: Most of DIVR and DIVF, and what DIVQ may be.
DIVR_MAX, DIVF_MAX, DIVQ = 15, 127, range(1, 7)
#: FILTER_RANGE by the frequency of the phase detector: the first that is above it.
FILTERS = ((17, 1), (26, 2), (44, 3), (66, 4), (101, 5), (134, 6))
#: The pin of the UP5K in its package of 48 whose pad leads into the PLL. From others it takes the clock by the fabric.
PAD = "35"


def clockings(source: Fraction, site: str) -> Iterable[Clocking]:
    """Every clock of the PLL from `source` MHz at the pin `site`, and those without it."""
    yield from divided(source)
    for before in range(1, DIVR_MAX + 2):
        compared = source / before
        if not DETECTOR[0] <= compared <= DETECTOR[1]:
            continue
        for times in range(1, DIVF_MAX + 2):
            if not OSCILLATOR[0] <= compared * times <= OSCILLATOR[1]:
                continue
            for halvings in DIVQ:
                if OUTPUT[0] <= compared * times / 2**halvings <= OUTPUT[1]:
                    yield _pll(source, site, (before, times, halvings))


def _pll(source: Fraction, site: str, dividers: tuple[int, int, int]) -> Clocking:
    before, times, halvings = dividers
    compared = source / before
    output, oscillator = compared * times / 2**halvings, compared * times
    kind, pin = ("SB_PLL40_PAD", "PACKAGEPIN") if site == PAD else ("SB_PLL40_CORE", "REFERENCECLK")
    filtered = next(value for below, value in FILTERS if compared < below)
    return Clocking(
        mhz=output,
        words=f"{kind}: {float(source):g} MHz * {times} / {before * 2**halvings}, oscillator {float(oscillator):g} MHz",
        verilog=f"""\
    {kind} #(
        .FEEDBACK_PATH("SIMPLE"), .DIVR(4'd{before - 1}), .DIVF(7'd{times - 1}), .DIVQ(3'd{halvings}),
        .FILTER_RANGE(3'd{filtered}), .PLLOUT_SELECT("GENCLK")
    ) pll (
        .{pin}(clk_pin), .PLLOUTGLOBAL(clk), .LOCK(locked), .RESETB(1'b1), .BYPASS(1'b0)
    );
""",
    )


def device(base: Device, package: str, speed: str) -> Device:
    """`base`, as all boards here carry the package that it is of."""
    return base


def constraints(pins: Sequence[Pin], source: Fraction) -> str:
    """A PCF: pins and pull-ups. The voltage of a bank is the board's, and no clock need be told: no register has it."""
    lines = []
    for pin in pins:
        pulled = " -pullup yes" if pin.attributes.get("PULLUP") == "1" else ""
        lines.append(f"set_io{pulled} {pin.port} {pin.site}")
    return "\n".join([*lines, ""])


CARRIER = Carrier(clockings=clockings, device=device, constraints=constraints, suffix=".pcf")
