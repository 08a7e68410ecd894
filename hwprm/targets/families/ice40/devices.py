"""Two iCE40 devices, with what Lattice's family data sheets give (FPGA-DS-02008, FPGA-DS-02029)."""

from __future__ import annotations

from hwprm.targets.flow.device import Device

__all__ = ["DEVICES"]

DEVICES = (
    Device(
        name="ice40-up5k",
        part="iCE40UP5K-SG48",
        available={"lut4": 5280, "carry": 5280, "ff": 5280, "dsp": 8, "bram": 30, "io": 39},
        arguments=("--up5k", "--package", "sg48"),
        synthesis=("-dsp", "-device", "u"),
        goal=50.0,
    ),
    Device(
        name="ice40-hx8k",
        part="iCE40HX8K-CT256",
        available={"lut4": 7680, "carry": 7680, "ff": 7680, "dsp": 0, "bram": 32, "io": 206},
        arguments=("--hx8k", "--package", "ct256"),
        synthesis=("-device", "hx"),
        goal=100.0,
    ),
)
