"""Three Artix-7 devices, with what AMD's overview gives (DS180)."""

from __future__ import annotations

from hwprm.targets.flow.device import Device

__all__ = ["DEVICES"]


def _device(size: str, part: str, luts: int, multipliers: int, blocks: int, pins: int) -> Device:
    return Device(
        name=f"xc7a{size}t",
        part=part,
        available={
            "lut6": luts,
            "carry": luts // 4,
            "ff": 2 * luts,
            "dsp": multipliers,
            "bram": blocks,
            "io": pins,
        },
    )


DEVICES = (
    _device("35", "xc7a35tcsg324-1", 20_800, 90, 50, 210),
    _device("100", "xc7a100tcsg324-1", 63_400, 240, 135, 210),
    _device("200", "xc7a200tfbg484-1", 134_600, 740, 365, 285),
)
