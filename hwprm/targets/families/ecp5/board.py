"""ECP5 on boards: clocks of its PLL (EHXPLLL), its packages, and pins as LPF.

Limits are those of the family data sheet (FPGA-DS-02012, "sysCLOCK PLL Timing"): the reference and what the phase
detector compares 10 to 400 MHz (the reference from 8, of which nothing can be made here), the oscillator 400 to 800,
the output at most 400; dividers are 1 to 128. The output is fed back, so it is the reference by CLKFB_DIV / CLKI_DIV.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

from hwprm.targets.flow.carrier import Carrier, Clocking, Pin, divided
from hwprm.targets.flow.device import Device

__all__ = ["CARRIER"]

#: MHz: phase detector, oscillator, output. The least output is what Lattice's tools and ecppll take.
DETECTOR, OSCILLATOR, OUTPUT = (10, 400), (400, 800), (10, 400)
#: What is said of outputs alone.
DRIVEN = ("DRIVE", "SLEWRATE")
#: The oscillator that is aimed at, far from both limits.
MIDDLE = 600
DIVIDER_MAX = 128
#: Names of packages in part numbers -> of balls as nextpnr has them.
PACKAGES = {"BG256": "CABGA256", "MG285": "CSFBGA285", "BG381": "CABGA381", "BG554": "CABGA554"}


def clockings(source: Fraction, site: str) -> Iterable[Clocking]:
    """Every clock of the PLL from `source` MHz, and those without it; any site of a clock reaches the PLL."""
    yield from divided(source)
    for before in range(1, DIVIDER_MAX + 1):
        compared = source / before
        if not DETECTOR[0] <= compared <= DETECTOR[1]:
            continue
        for times in range(1, DIVIDER_MAX + 1):
            output = compared * times
            if not OUTPUT[0] <= output <= OUTPUT[1]:
                continue
            fits = [by for by in range(1, DIVIDER_MAX + 1) if OSCILLATOR[0] <= output * by <= OSCILLATOR[1]]
            if fits:
                yield _pll(source, before, times, min(fits, key=lambda by: abs(output * by - MIDDLE)))


def _pll(source: Fraction, before: int, times: int, behind: int) -> Clocking:
    output = source * times / before
    oscillator = output * behind
    return Clocking(
        mhz=output,
        words=f"EHXPLLL: {float(source):g} MHz * {times} / {before}, oscillator {float(oscillator):g} MHz",
        verilog=f"""\
    (* FREQUENCY_PIN_CLKI = "{float(source):g}", FREQUENCY_PIN_CLKOP = "{float(output):g}" *)
    (* ICP_CURRENT = "12", LPF_RESISTOR = "8", MFG_ENABLE_FILTEROPAMP = "1", MFG_GMCREF_SEL = "2" *)
    EHXPLLL #(
        .PLLRST_ENA("DISABLED"), .INTFB_WAKE("DISABLED"), .STDBY_ENABLE("DISABLED"), .DPHASE_SOURCE("DISABLED"),
        .OUTDIVIDER_MUXA("DIVA"), .OUTDIVIDER_MUXB("DIVB"), .OUTDIVIDER_MUXC("DIVC"), .OUTDIVIDER_MUXD("DIVD"),
        .CLKI_DIV({before}), .CLKFB_DIV({times}), .FEEDBK_PATH("CLKOP"),
        .CLKOP_ENABLE("ENABLED"), .CLKOP_DIV({behind}), .CLKOP_CPHASE({behind // 2}), .CLKOP_FPHASE(0)
    ) pll (
        .RST(1'b0), .STDBY(1'b0), .CLKI(clk_pin), .CLKOP(clk), .CLKFB(clk), .CLKINTFB(), .LOCK(locked),
        .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1),
        .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0)
    );
""",
    )


def device(base: Device, package: str, speed: str) -> Device:
    """`base` in another `package` and of another `speed`, both as part numbers have them."""
    size = base.arguments[0]
    return replace(
        base,
        part=f"LFE5U-{size.strip('-k')}F-{speed}{package}",
        arguments=(size, "--package", PACKAGES[package], "--speed", speed),
    )


def constraints(pins: Sequence[Pin], source: Fraction) -> str:
    """An LPF: sites, what the board says of them, and the clock that comes."""
    lines = []
    for pin in pins:
        lines.append(f'LOCATE COMP "{pin.port}" SITE "{pin.site}";')
        if pin.attributes:
            said = " ".join(
                f"{name}={value}" for name, value in pin.attributes.items() if not (pin.input and name in DRIVEN)
            )
            lines.append(f'IOBUF PORT "{pin.port}" {said};')
    return "\n".join([*lines, f'FREQUENCY PORT "clk_pin" {float(source):g} MHZ;', ""])


CARRIER = Carrier(clockings=clockings, device=device, constraints=constraints, suffix=".lpf")
