"""What fits, and which array might."""

from __future__ import annotations

from hwprm.targets.size import exceeded, largest_array

BLOCKS = {"array": {"dsp": 64, "lut4": 640}, "drain": {"dsp": 16, "lut4": 160}, "registers": {"dsp": 0, "lut4": 100}}


def test_exceeded() -> None:
    assert exceeded({"dsp": 80, "lut4": 900}, {"dsp": 72, "lut4": 900, "io": 3}) == {"dsp": (80, 72)}


def test_largest_array() -> None:
    # rows * cols + 2 * rows multipliers: 7 x 8 takes 70, 8 x 8 takes 80.
    assert largest_array(BLOCKS, {"dsp": 72}, 8, 8) == (7, 8)
    assert largest_array(BLOCKS, {"dsp": 80}, 8, 8) == (8, 8)
    # 2 x 5: 100 + 40 + 100; 3 x 4 would be 120 + 60 + 100.
    assert largest_array(BLOCKS, {"dsp": 80, "lut4": 250}, 8, 8) == (2, 5)
    assert largest_array(BLOCKS, {"lut4": 100}, 8, 8) is None, "the registers alone fill it"


def test_block_ram_does_not_hang_on_the_array() -> None:
    assert largest_array(BLOCKS | {"rom_weights": {"bram": 9}}, {"dsp": 80, "bram": 4}, 8, 8) == (8, 8)
