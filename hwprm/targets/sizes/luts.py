"""What a block's LUTs grow with: for each piece of logic that it has, about the LUTs that it should take.

The model of `hwprm.targets.model` multiplies each with a coefficient near 1 that was fitted to synthesised designs;
those called ``more`` are corrections, whose coefficients are near 0. A multiplexer of two inputs is a LUT a bit.
"""

from __future__ import annotations

from collections.abc import Iterable

from hwprm.core.numerics import MULT_BITS, WIDE_BITS
from hwprm.isa import (
    Hardware,
    RowShape,
    entry_format,
    layer_format,
    store_format,
    table_formats,
    tile_format,
)
from hwprm.targets.sizes.design import Design, levels

__all__ = ["luts"]

#: Widest operand of one multiplier; coordinates and banks of more bits are added and compared in carry chains.
OPERAND_BITS, PART_BITS, SMALL, SMALL_BANK = 18, 17, 4, 3
#: Share of a row's multiplexers that take LUTs of their own.
ROW = 0.75

Features = dict[str, float]


def luts(design: Design) -> dict[str, Features]:
    """Block -> feature -> LUTs."""
    hw = design.hardware
    made = {
        "array": _array(design),
        "drain": _drain(design),
        "memory": _memory(hw),
        "lanes": _lanes(design) | _lanes_corrected(design),
        "store_unit": _store(design),
        "sequencer": _sequencer(hw),
        "egress": _egress(hw),
        "ingress": _ingress(hw),
        "registers": _registers(hw),
        "between blocks": _between(hw),
        "parts": _parts(design),
    }
    return made | ({"tables": _tables(hw)} if hw.external else {})


def halved_bits(hw: Hardware) -> int:
    """Width of a product behind the shift that is wired."""
    product = hw.sum_bits + MULT_BITS
    return product - min(hw.shift_min, product) + 1


def _place(hw: Hardware) -> int:
    """Bits of an address that are not constant."""
    return hw.word_bits + levels(hw.banks)


def _chosen(design: Design) -> int:
    """LUTs a bit of a row's drain multiplexer."""
    inputs, radix, found = design.hardware.cols, 1 << design.hardware.radix_bits, 0
    while True:
        groups = [min(radix, inputs - i) for i in range(0, inputs, radix)]
        # The multiplexer in cells has a LUT for every second place, be it in use or not.
        found += sum(n - 1 if design.plain or n <= 2 else 1 << (levels(n) - 1) for n in groups)
        inputs = len(groups)
        if inputs == 1:
            return found


def _array(design: Design) -> Features:
    hw = design.hardware
    busy = hw.rows * design.busy_columns
    chosen = hw.rows * hw.acc_bits * _chosen(design)
    return {
        "cleared": busy * hw.acc_bits * design.plain,
        "pooled": 2.5 * busy * hw.pooling,
        "chosen plain": chosen * design.plain,
        "chosen": chosen * (not design.plain),
        "unused weights": hw.cols * hw.weight_bits * bool(hw.external),
        "kept": hw.rows * hw.pooling * bool(design.varying("entries", "guard")),
    }


def _drain(design: Design) -> Features:
    hw = design.hardware
    rows, fast, residual = hw.rows, hw.fast, bool(hw.residual_bits)
    halved, shift, select = halved_bits(hw), design.varying("params", "shift"), levels(hw.cols)
    ends, wide_ends = 2 * hw.act_bits, 2 * WIDE_BITS
    if not hw.external:
        ends = min(ends, design.varying("layers", "clamp_low", "clamp_high"))
        wide_ends = min(wide_ends, design.varying("layers", "wide_low", "wide_high"))
    # Synthesis leaves the last two bits of a sum to LUTs where they alone would need another multiplier.
    left = not fast and hw.sum_bits > OPERAND_BITS and (hw.sum_bits - OPERAND_BITS - 1) % PART_BITS == 0
    queued, pixels = hw.wide_lanes > 1, layer_format(hw)["wide_pixels"].width
    return {
        "barrel": rows * (halved - 1) * shift,
        "deep barrel": rows * (halved - 1) * 1.5 * (shift > 4 and not fast),
        "result": rows * hw.act_bits,
        "result ends": rows * ends / 4,
        "word": min(WIDE_BITS, halved),
        "word ends": wide_ends / 2,
        "summed": 2 * rows * hw.sum_bits * (residual and not fast),
        "masked": rows * (hw.operand_bits + hw.residual_bits / 4) * residual,
        "left": rows * MULT_BITS * left,
        "queued": hw.sum_bits * (hw.wide_lanes - 1),
        "taken": (hw.sum_bits + shift + 8 * (not fast)) * queued,
        "queue": (10 + 3 * pixels) * queued,
        "lanes fast": 4 * rows * fast,
        "lanes": 0.5 * rows,
        "control": 20 + 3 * select + levels(hw.params),
    }


def _rotated_from(items: int, used: Iterable[int]) -> int:
    """LUTs a bit of a barrel over `items`, of which only `used` are not constant."""
    used, found = set(used), 0
    for bit in range(levels(items)):
        pairs = {j: (j in used, (j - (1 << bit)) % items in used) for j in range(items)}
        found += sum(a and b for a, b in pairs.values())
        used = {j for j, (a, b) in pairs.items() if a or b}
    return 3 if items == 3 and found == 4 else found  # which are LUTs of four inputs each


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


def _memory(hw: Hardware) -> Features:
    banks, rows, act = hw.banks, hw.rows, hw.act_bits
    read, written = _slots(hw, hw.strides), _slots(hw, hw.store_strides)
    beyond = ((rows - 1) * max(hw.store_strides) // banks).bit_length()
    turned = _rotated_from(banks, written)
    several = len(hw.strides) > 1
    lanes = sum(len({lane * stride % banks for stride in hw.strides}) - 1 for lane in range(rows))
    return {
        "addresses turned": hw.word_bits * _rotated_from(banks, read),
        "data turned": act * _rotated_to(banks, read),
        "stores turned": (act + beyond + 0.7) * turned,
        "addresses chosen": hw.word_bits * sum(len(found) - 1 for found in read.values()) * (banks > 1),
        "data chosen": act * lanes,
        "stores chosen": act * sum(len(found) - 1 for found in written.values()),
        "enabled": 5 * rows,
        "masked": rows * (1 + 2 * (hw.mixed and several)),
        "beyond": banks * beyond,
        "one": 25,
    }


def _lanes(design: Design) -> Features:
    hw = design.hardware
    rows, fast, batched = hw.rows, hw.fast, hw.batch > 1
    word, bank, coordinate = hw.word_bits, levels(hw.banks), hw.coordinate_bits
    small = coordinate <= SMALL
    made: Features = {"walker": 25, "offset": 0.3 * word, "apart": (word + bank) * hw.apart}
    if fast:
        return made | {
            "moved fast": rows * (word + bank + 2 * coordinate),
            "lanes fast": 3 * rows,
            "small bounds fast": 3 * rows * coordinate * small,
            "bounds fast": 6 * rows * (not small),
            "small steps fast": 4 * rows * coordinate * small,
            "steps fast": 5 * rows * (not small),
        }
    return made | {
        "words": rows * word,
        "words external": rows * word * bool(hw.external),
        "words of batches": rows * word * batched,
        "coordinates": 3 * rows * coordinate,
        "coordinates of batches": 2 * rows * coordinate * batched,
        "small bounds": 3 * rows * coordinate * small,
        "bounds": 3 * rows * (not small),
    }


def _lanes_corrected(design: Design) -> Features:
    hw = design.hardware
    rows, word, external = hw.rows, hw.word_bits, bool(hw.external)
    small = hw.coordinate_bits <= SMALL
    wraps = word if external else design.varying("layers", "wrap_word")
    made: Features = {
        "more external": 60 * external,
        "more external fast": 30 * (external and hw.fast),
        "more of images apart": rows * (word + hw.bank_bits) * hw.apart,
    }
    if hw.fast:
        return made | {
            "more banks fast": rows * hw.bank_bits,
            "more of batches fast": 5 * rows * (hw.batch > 1),
        }
    return made | {
        "more wraps": rows * wraps,
        "more banks": rows * hw.bank_bits,
        "more small coordinates": rows * hw.coordinate_bits * small,
        "more coordinates external": rows * hw.coordinate_bits * external,
        "more lanes external": rows * external,
    }


def _store(design: Design) -> Features:
    hw = design.hardware
    form, place, external = store_format(hw), _place(hw), bool(hw.external)
    pixels, filters, lane = form["pixels"].width, form["filters"].width, max(1, hw.rows.bit_length())
    names = [field.name for field in form.fields if field.name != "layer"]
    return {
        "places": 4 * place,
        "places fast": 4 * place * hw.fast,
        "pixels": 4 * pixels,
        "filters": 2 * (filters + levels(hw.cols)),
        "lanes": 6 * lane,
        "gaps": 2 * (place + pixels) * hw.image_gaps,
        "apart": 2 * (place + pixels) * hw.apart,
        "repeated": 2 * place * hw.upsampling,
        "phased": place * hw.phased,
        "one": 50,
        "varying": design.varying("stores", *names) / 4,
        "external": 50 * external,
        "more external short": 30 * (external and not hw.fast),
        "more rows": hw.rows,
    }


def _sequencer(hw: Hardware) -> Features:
    form, external = tile_format(hw), bool(hw.external)
    counted = sum(form[name].width for name in ("length", "passes", "pixel_tiles", "idle"))
    return {
        "counters": 2 * counted,
        "addresses": (levels(hw.entries) + levels(hw.weights)) * (not external),
        "indices": levels(hw.tiles) + levels(hw.layers),
        "one": 30,
        "fast": 10 * hw.fast,
        "external": 60 * external,
        "more external fast": 30 * (external and hw.fast),
        "tails": (levels(hw.entries) + form["length"].width) * bool(hw.residual_bits),
        "idle": form["idle"].width * hw.idle_differs,
    }


def _egress(hw: Hardware) -> Features:
    place, pixels = levels(2 * hw.batch * hw.output_words), layer_format(hw)["wide_pixels"].width
    return {
        "places": 4 * place,
        "more one": 20,
        "batch": 3 * (place + pixels) * (hw.batch > 1),
        "one": 10,
        "fast": 10 * hw.fast,
        "more external": 50 * bool(hw.external),
    }


def _ingress(hw: Hardware) -> Features:
    place, batched, inputs = _place(hw), hw.batch > 1, len(hw.inputs)
    return {
        "places": 3 * place + hw.act_bits,
        "beats": levels(hw.input_beats),
        "inputs": 2 * place * (inputs - 1),
        "batch": 3 * place * batched,
        "inputs of batches": place * inputs * batched,
        "one": 30,
    }


def _registers(hw: Hardware) -> Features:
    return {"registers": 160, "external": 64 * bool(hw.external), "batch": 8 * (hw.batch > 1)}


def _between(hw: Hardware) -> Features:
    place, lane = _place(hw), max(1, hw.rows.bit_length())
    return {
        "stored": 0.2 * hw.rows * hw.act_bits,
        "more stored fast": 0.2 * hw.rows * hw.act_bits * hw.fast,
        "given": hw.act_bits + place + 2 * lane,
        "tag": levels(hw.params) + levels(hw.cols) + 4,
        "one": 20,
        "external": 20 * bool(hw.external),
    }


def _parts(design: Design) -> Features:
    """What chooses between the cells of a memory that is deeper than one."""
    found = {True: 0.0, False: 0.0}
    for memory in design.memories:
        cells, parts = memory.cells, memory.cells.parts
        if parts > 1:
            choice = -(-parts // 2) if cells.blocks else parts - 1
            found[memory.name.startswith("tables")] += choice * memory.width + parts * (not cells.blocks)
    return {"tables": found[True], "memories": found[False], "more roms": 20 * (not design.hardware.external)}


def _tables(hw: Hardware) -> Features:
    ext = hw.external
    assert ext is not None
    widths = [entry_format(hw).width, hw.cols * hw.weight_bits, *(form.width for form, _ in table_formats(hw).values())]
    shapes = [RowShape.of(width, ext.beat_bits) for width in widths]
    return {
        "chosen": ROW * sum((shape.words - 1) * shape.width for shape in shapes),
        "rows": 4 * (levels(ext.entry_rows) + levels(ext.weight_rows)),
        "tails": 20 * bool(hw.residual_bits),
        "one": 120,
    }
