"""What the LUTs of the datapath grow with: array, drain, activation memory and lanes (`hwprm.targets.sizes.luts`).

A multiplexer of two inputs is a LUT a bit; a row of them in front of registers that are held takes one a bit as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from hwprm.core.numerics import MULT_BITS, WIDE_BITS
from hwprm.isa import Hardware, layer_format
from hwprm.targets.sizes.delays import MANY_BANKS, carried, hurried, hurried_images, through
from hwprm.targets.sizes.design import Design, levels
from hwprm.targets.sizes.registers import factor_bits

__all__ = ["OPERAND_BITS", "PART_BITS", "SMALL", "SMALL_BANK", "Features", "chosen", "datapath", "halved_bits"]

#: Widest operand of one multiplier; coordinates and banks of more bits are added and compared in carry chains.
OPERAND_BITS, PART_BITS, SMALL, SMALL_BANK = 18, 17, 4, 3
#: Inputs of a LUT.
LUT_INPUTS = 4
#: Inputs of which a multiplexer takes one LUT a bit less than usual, and another: those behind pairs of LUTs are free.
SHARED, SHARED_TWICE = 6, 16

Features = dict[str, float]


def datapath(design: Design) -> dict[str, Features]:
    """Block -> feature -> LUTs."""
    return {
        "array": _array(design),
        "drain": _drain(design),
        "memory": _memory(design.hardware),
        "lanes": _lanes_fast(design) if design.hardware.fast else _lanes(design),
    }


def halved_bits(hw: Hardware) -> int:
    """Width of a product behind the shift that is wired."""
    product = hw.sum_bits + MULT_BITS
    return product - min(hw.shift_min, product) + 1


def chosen(inputs: int) -> int:
    """LUTs a bit of a multiplexer."""
    return max(0, inputs - 1) - (inputs >= SHARED) - (inputs >= SHARED_TWICE)


def _chosen(design: Design) -> int:
    """LUTs a bit of a row's drain multiplexer."""
    inputs = design.busy_columns if design.plain else design.hardware.cols
    radix, found = 1 << design.hardware.radix_bits, 0
    while True:
        groups = [min(radix, inputs - i) for i in range(0, inputs, radix)]
        # The multiplexer in cells has a LUT for every second place, be it in use or not.
        found += sum(chosen(n) if design.plain or n <= 2 else 1 << (levels(n) - 1) for n in groups)
        inputs = len(groups)
        if inputs == 1:
            return found


def _array(design: Design) -> Features:
    hw = design.hardware
    busy = hw.rows * design.busy_columns
    selected = hw.rows * hw.acc_bits * _chosen(design)
    return {
        "cleared": busy * hw.acc_bits * design.plain,
        "pooled": 2.7 * busy * hw.pooling,
        "kept": 1.3 * busy * hw.pooling * bool(design.varying("entries", "guard")),
        "chosen plain": selected * design.plain,
        "chosen": selected * (not design.plain),
    }


def _drain(design: Design) -> Features:
    hw = design.hardware
    rows, fast, residual, external = hw.rows, hw.fast, bool(hw.residual_bits), bool(hw.external)
    # Bits that always are as another one are multiplexers of their own all the same.
    halved, shift, select = halved_bits(hw), design.changing("params", "shift"), levels(hw.cols)
    ends, wide_ends = 2 * hw.act_bits, 2 * WIDE_BITS
    if not external:
        ends = min(ends, design.varying("layers", "clamp_low", "clamp_high"))
        wide_ends = min(wide_ends, design.varying("layers", "wide_low", "wide_high"))
    # Synthesis leaves the last two bits of a sum to LUTs where they alone would need another multiplier.
    left = not fast and hw.sum_bits > OPERAND_BITS and (hw.sum_bits - OPERAND_BITS - 1) % PART_BITS == 0
    queued, pixels, factor = hw.wide_lanes > 1, layer_format(hw)["wide_pixels"].width, factor_bits(hw)
    return {
        "barrel": rows * (halved - 1) * shift,
        "hurried barrel": rows * (halved - 1) * hurried(_barrel(design, halved), design),
        "result": rows * hw.act_bits,
        "result ends": rows * (ends / 2 if fast else ends * ends / 26),
        "word": min(WIDE_BITS, halved),
        "word ends": wide_ends / 2,
        "summed": 2 * rows * hw.sum_bits * (residual and not fast),
        # In the fast pipeline registers are reset instead, by a comparison with 0.
        "masked": rows * (factor / 3 if fast else hw.operand_bits + factor / 4) * residual,
        "gated": rows * (factor + hw.residual_bits / 4) * hw.gates,
        "posted": rows * hw.act_bits * bool(hw.posts),
        "left": rows * MULT_BITS * left,
        "queued": hw.sum_bits * (hw.wide_lanes - 1),
        "taken": (hw.sum_bits + MULT_BITS) * queued,
        "queue": (8 + 2 * pixels) * queued,
        "lanes fast": 2.5 * rows * fast,
        "control": 12 + 3 * select,
        "external": 30 * external,
    }


def _barrel(design: Design, halved: int) -> int:
    """Picoseconds through a requantiser's barrel and the rounding behind it."""
    steps = design.changing("params", "shift")
    return (through(steps) + carried(halved + 1)) if steps else 0


def _rotated_from(items: int, used: Iterable[int]) -> float:
    """LUTs a bit of a barrel over `items`, of which only `used` are not constant.

    Half of the gates that a constant leaves of a multiplexer go into the next one.
    """
    used, found, single = set(used), 0, 0
    for bit in range(levels(items)):
        pairs = {j: (j in used, (j - (1 << bit)) % items in used) for j in range(items)}
        found += sum(a and b for a, b in pairs.values())
        single += sum(a != b for a, b in pairs.values())
        used = {j for j, (a, b) in pairs.items() if a or b}
    return 3 if items == 3 and found == 4 else found + single / 2  # which are LUTs of four inputs each


def _rotated_to(items: int, used: Iterable[int]) -> int:
    """LUTs a bit of a barrel over `items`, of whose results only `used` are used."""
    used, found = set(used), 0
    for bit in reversed(range(levels(items))):
        found += len(used)
        used = used | {(j + (1 << bit)) % items for j in used}
    return found


def _slots(hw: Hardware, strides: Iterable[int]) -> dict[int, set[int]]:
    """Slots of the rotated banks -> lanes that are there for one of the strides."""
    found: dict[int, set[int]] = {}
    for stride in strides:
        for lane in reversed(range(hw.rows)):
            found.setdefault(lane * stride % hw.banks, set()).add(lane)
    return found


def _any(inputs: int) -> int:
    """LUTs of any function of so many bits: between two of them, and two of those, cells choose that are no LUTs."""
    return 1 << max(0, inputs - LUT_INPUTS)


def _turned(hw: Hardware, read: dict[int, set[int]]) -> tuple[float, float, float, float]:
    """LUTs a bit of the addresses turned and chosen, and of the words read: as stages, or in the short pipeline, which
    has no register between them, by what each hangs on where that is less: a few words, the rotation, the stride.
    """
    banks, lanes = hw.banks, range(hw.rows)
    places = [len({lane * stride % banks for stride in hw.strides}) for lane in lanes]
    # Slots that are 0 for some of the strides; in the fast pipeline registers are reset instead.
    partial = 0 if hw.fast else sum(not _always(hw, slot) for slot in read)
    address = (_rotated_from(banks, read), (sum(len(found) - 1 for found in read.values()) + partial) * (banks > 1))
    word = (_rotated_to(banks, read), sum(places) - hw.rows)
    if not hw.fast:
        strides = levels(len(hw.strides))
        fewest = banks * _any(hw.rows + levels(banks) + strides)
        address = min(address, (fewest, 0), key=sum)
        word = min(word, (sum(_any(banks + levels(banks) + strides * (n > 1)) for n in places), 0), key=sum)
    return *address, *word


def _always(hw: Hardware, slot: int) -> bool:
    """Whether a lane is at the `slot` of the rotated banks for every stride."""
    return all(slot in {lane * stride % hw.banks for lane in range(hw.rows)} for stride in hw.strides)


def _memory(hw: Hardware) -> Features:
    banks, rows, act = hw.banks, hw.rows, hw.act_bits
    read, written = _slots(hw, hw.strides), _slots(hw, hw.store_strides)
    beyond = ((rows - 1) * max(hw.store_strides) // banks).bit_length()
    turned = _rotated_from(banks, written)
    address_turned, address_chosen, word_turned, word_chosen = _turned(hw, read)
    return {
        "addresses turned": hw.word_bits * address_turned,
        "data turned": act * word_turned,
        "stores turned": act * turned,
        "enables turned": (0.45 + 0.3 * beyond) * turned * hw.fast,
        "addresses chosen": hw.word_bits * address_chosen,
        "data chosen": act * word_chosen,
        "stores chosen": act * sum(len(found) - 1 for found in written.values()),
        "enabled": 5.2 * sum(len(found) for found in written.values()),
        "signs": rows * hw.mixed,
        "common": act * (rows - 1) * hw.common,
        "inside": rows,
        "banks": banks if hw.fast else 3 * banks,
        "beyond": 1.5 * banks * beyond,
        "one": 11,
    }


def _coordinates(design: Design) -> tuple[float, float]:
    """LUTs of a lane for the column that it moves to, and for the row.

    Where they are added and compared in carry chains, multiplexers are left; else it counts whether there is a step to
    add at all.
    """
    bits, batched = design.hardware.coordinate_bits, design.hardware.batch > 1
    if bits > SMALL:
        return 2 * bits, bits * (1 + batched)
    step_x, step_y = (design.varying("layers", name) for name in ("step_x", "step_y"))
    return 4 * bits - 3 if step_x else 2 * bits, 2.5 * batched + (3 if step_y else 1.7) * bits


def _images(design: Design) -> int:
    """Bits of what a batch's lanes add to their words where an image ends. Where they add something at a row's end too,
    the sum of both is chosen from as well, in which bits differ that are the same in each.
    """
    if design.hardware.batch == 1:
        return 0
    wraps = design.varying("layers", "wrap_word")
    return design.changing("layers", "image_word") if wraps else design.varying("layers", "image_word")


def _walker(design: Design) -> float:
    """LUTs of the walker that finds the lanes' first places: its column, row, bank and word, and what it counts.

    In the fast pipeline the word of a batch's walker is the longest path (3.4 to 3.8 ns) where rows' ends add to it,
    and mapped for speed; more so where narrow coordinates leave no carry chain in it. Else other paths are longer.
    """
    hw = design.hardware
    bits, batched, small = hw.coordinate_bits, hw.batch > 1, hw.coordinate_bits <= SMALL
    wraps, images = design.varying("layers", "wrap_word"), _images(design)
    x = (9 if hw.fast else 2.4 * bits) if small else 1.3 * bits
    y = (2.2 * bits if small else bits + 1) if batched else 3 * (bits < SMALL)
    many, odd = hw.banks >= MANY_BANKS, hw.banks & (hw.banks - 1)
    bank = (6 if many else 2 * levels(hw.banks) + 1) if odd else levels(hw.banks)
    word = 1.5 * images + 0.5 * wraps if batched else float(wraps)
    if batched and hw.fast and wraps:
        word = (3.5 if bits < SMALL else 1.9) * images + 0.8 * wraps
    return x + y + bank + word + hw.rows.bit_length() + 3


def _lanes_fast(design: Design) -> Features:
    """A lane's place and the comparisons with the ends of its rows are prepared, of registers that are held."""
    hw = design.hardware
    rows, word, coordinate, batched = hw.rows, hw.word_bits, hw.coordinate_bits, hw.batch > 1
    bank, odd, small = levels(hw.banks), bool(hw.banks & (hw.banks - 1)), coordinate <= SMALL
    wraps, step_bank = (design.varying("layers", name) for name in ("wrap_word", "step_bank"))
    images, (x, y) = _images(design), _coordinates(design)
    bounds = design.varying("entries", "y_low", "y_high", "x_low", "x_high")
    return {
        "words fast": rows * (1.3 * word + 0.4 * wraps),
        "words of images fast": rows * (1.1 * images + 0.6 * wraps * batched),
        "x fast": rows * x,
        "y fast": rows * y,
        "banks fast": rows * (0.9 * bank + 0.8 * bank * odd + 1.3 * step_bank),
        "few banks fast": rows * 6.5 * (odd and hw.banks < MANY_BANKS),
        "bounds fast": rows * (0.55 * bounds + 1.35 * coordinate if small else 4.5),
        "walker fast": _walker(design),
        "apart fast": 24 * hw.apart,
        "common fast": 0.5 * (word + hw.bank_bits) * hw.common,
    }


def _lanes(design: Design) -> Features:
    hw = design.hardware
    rows, word, coordinate, batched, external = hw.rows, hw.word_bits, hw.coordinate_bits, hw.batch > 1, hw.external
    odd, small = bool(hw.banks & (hw.banks - 1)), coordinate <= SMALL
    wraps, step_bank = (design.varying("layers", name) for name in ("wrap_word", "step_bank"))
    images, (x, y) = _images(design), _coordinates(design)
    bounds = design.varying("entries", "y_low", "y_high", "x_low", "x_high")
    return {
        "words": rows * (1.25 * word + wraps),
        "words of images": rows * (images + 0.2 * word * batched + 0.75 * wraps * batched),
        "hurried words": rows * (images + wraps) * hurried_images(design),
        "x": rows * x,
        "y": rows * y,
        "banks": rows * ((5.3 if odd else 0.8) + 1.25 * step_bank),
        "bounds": rows * (1 + 0.95 * bounds if small else 4.5),
        "bounds external": rows * 6 * bool(external and small),
        "common": (word + hw.bank_bits) * hw.common,
        "walker": _walker(design),
        "apart": 13 * hw.apart,
    }
