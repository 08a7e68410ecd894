"""The LFE5U devices without transceivers, in the package with the most balls for hobbyist boards, CABGA381, speed 6.

Blocks, multipliers and pins are from Lattice's family data sheet (FPGA-DS-02012); logic cells are those that nextpnr
finds in the device. The LFE5U-12F is the die of the 25F, of which the data sheet sells half the logic and 32 blocks.
"""

from __future__ import annotations

from hwprm.targets.flow.device import Device

__all__ = ["DEVICES"]


def _device(size: int, cells: int, blocks: int, multipliers: int, pins: int) -> Device:
    return Device(
        name=f"ecp5-{size}k",
        part=f"LFE5U-{size}F-6BG381",
        available={
            "comb": cells,
            "carry": cells // 2,
            "ff": cells,
            "lutram": cells // 8,
            "dsp": multipliers,
            "bram": blocks,
            "io": pins,
        },
        arguments=(f"--{size}k", "--package", "CABGA381", "--speed", "6"),
        goal=200.0,
    )


DEVICES = (
    _device(12, 12_144, 32, 28, 197),
    _device(25, 24_288, 56, 28, 197),
    _device(45, 43_848, 108, 72, 203),
    _device(85, 83_640, 208, 156, 205),
)
