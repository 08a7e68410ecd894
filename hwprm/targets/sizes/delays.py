"""Which logic of a short pipeline is mapped for speed: the paths that are longer than the longest that it must have.

Yosys maps a design's slowest path for speed, at up to three times the LUTs, and what has time left for size. So what a
path takes hangs on how long the others are, in the delays that the mapping goes by: timed by the same delays, most of
the netlists looked at end where its log says.
"""

from __future__ import annotations

from hwprm.targets.sizes.design import Design

__all__ = ["LONGEST", "carried", "hurried", "through"]

#: Picoseconds by the models of ``synth_ecp5``, with 300 of a wire in front of each LUT: from registers through one
#: whose inputs come together; through one more, of which one input is early; into a carry chain and out; along a cell.
FIRST, NEXT, AROUND, CELL = 679, 575, 773, 43
#: The longest path that any design has: a store's address, the sum of two additions behind some choices. Three take
#: more than 3,950, and coordinates of more bits make the lanes' way as long.
LONGEST, COORDINATE = 3350, 3
#: LUTs a bit for each picosecond that a path would be longer.
SLOPE = 0.005


def through(levels: int) -> int:
    """Picoseconds of so many multiplexers of two inputs behind a register."""
    return FIRST + NEXT * (levels - 1)


def carried(bits: int) -> int:
    """Picoseconds of an addition."""
    return AROUND + CELL * (-(-bits // 2) - 2)


def hurried(path: int, design: Design) -> float:
    """LUTs a bit that a path of so many picoseconds takes more than were it mapped for size.

    Nothing where others are longer: with external memory or a batch, with wide coordinates, and where rows that are
    stored have gaps between them, as an address is then the sum of one more; nor in the fast pipeline, which cuts it.
    """
    hw = design.hardware
    if hw.fast or hw.external or hw.batch > 1 or hw.coordinate_bits > COORDINATE:
        return 0.0
    if design.used("stores", "gap_word", "gap_bank"):
        return 0.0
    return SLOPE * max(0, path - LONGEST)
