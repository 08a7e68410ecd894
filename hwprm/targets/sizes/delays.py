"""Which logic of a short pipeline is mapped for speed: the paths that are longer than the longest that it must have.

Yosys maps a design's slowest path for speed, at up to three times the LUTs, and what has time left for size. So what a
path takes hangs on how long the others are, in the delays that the mapping goes by: timed by the same delays, most of
the netlists looked at end where its log says.
"""

from __future__ import annotations

from hwprm.targets.sizes.design import Design

__all__ = ["LONGEST", "MANY_BANKS", "carried", "hurried", "hurried_images", "through"]

#: Picoseconds by the models of ``synth_ecp5``, with 300 of a wire in front of each LUT: from registers through one
#: whose inputs come together; through one more, of which one input is early; into a carry chain and out; along a cell.
FIRST, NEXT, AROUND, CELL = 679, 575, 773, 43
#: From registers through the LUTs of seven inputs that come together; into a carry chain; through a LUT whose other
#: inputs are early.
SEVEN, INTO, LATE = 1059, 516, 441
#: The longest path that any design has: a store's address, the sum of two additions behind some choices. Three take
#: more than 3,950, and coordinates of more bits make the lanes' way as long.
LONGEST, COORDINATE = 3350, 3
#: LUTs a bit for each picosecond that a path would be longer.
SLOPE = 0.005
#: Banks from which on they are added and compared in carry chains.
MANY_BANKS = 8
#: The way of a batch's lanes through carry chains, which is that of LUTs mapped for size; a store's address where
#: images have gaps of their own; LUTs a bit for each picosecond that the way is shorter.
UNHURRIED, IMAGE_GAPS, SLOPE_IMAGES = 4950, 4667, 0.0085


def through(levels: int) -> int:
    """Picoseconds of so many multiplexers of two inputs behind a register."""
    return FIRST + NEXT * (levels - 1)


def carried(bits: int) -> int:
    """Picoseconds of an addition."""
    return AROUND + CELL * (-(-bits // 2) - 2)


def hurried(path: int, design: Design) -> float:
    """LUTs a bit that a path of so many picoseconds takes more than were it mapped for size.

    Nothing where others are longer: with external memory or a batch, with wide coordinates, and where rows that are
    stored have gaps between them, as an address is then the sum of one more; nor with coordinates of two bits and
    several banks, where the netlist looked at shows little of it, nor in the fast pipeline, which cuts it.
    """
    hw = design.hardware
    if hw.fast or hw.external or hw.batch > 1 or design.used("stores", "gap_word", "gap_bank"):
        return 0.0
    if hw.coordinate_bits > COORDINATE or (hw.coordinate_bits < COORDINATE and hw.banks > 1):
        return 0.0
    return SLOPE * max(0, path - LONGEST)


def hurried_images(design: Design) -> float:
    """LUTs a bit that a batch's lanes take more for what they add to their words than were it mapped for size.

    Where a row ends hangs on the column, where an image ends on that, and on both what is added: no path is longer, and
    so it is mapped for speed. Nothing where the ends are compared in carry chains, which leave little to map: with wide
    coordinates, but for maps that all are as high; nor where it is short, or a store's address later: with narrow
    coordinates, images that end with a tile, many banks; nor in the fast pipeline, which cuts it.
    """
    hw = design.hardware
    if hw.fast or hw.batch == 1 or hw.apart or (hw.banks >= MANY_BANKS and hw.banks & (hw.banks - 1)):
        return 0.0
    narrow = hw.coordinate_bits == COORDINATE
    if not narrow and (hw.coordinate_bits != COORDINATE + 1 or design.varying("layers", "height") > 1):
        return 0.0
    # The end of a row, then behind the sum for the next one that of an image, what is added, the sum, and a restart.
    row, image = (SEVEN, 2 * LATE) if narrow else (FIRST + INTO + LATE, LATE)
    path = row + AROUND + image + LATE + carried(hw.word_bits) + LATE
    return SLOPE_IMAGES * max(0, UNHURRIED - max(path, IMAGE_GAPS * hw.image_gaps))
