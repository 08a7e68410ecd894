"""What a block's carry cells grow with: its additions and comparisons, half a cell for each of their bits.

Coefficients as in `hwprm.targets.sizes.luts`. Short additions and comparisons are LUTs.
"""

from __future__ import annotations

from hwprm.core.numerics import MULT_BITS, WIDE_BITS
from hwprm.isa import Hardware, layer_format, store_format, tile_format
from hwprm.targets.sizes.datapath import OPERAND_BITS, PART_BITS, SMALL, SMALL_BANK, Features, halved_bits
from hwprm.targets.sizes.design import Design, levels

__all__ = ["carries"]

COUNTER = 32


def carries(design: Design) -> dict[str, Features]:
    """Block -> feature -> carry cells."""
    hw = design.hardware
    made = {
        "array": _array(design),
        "drain": _drain(hw),
        "lanes": _lanes(design),
        "memory": _memory(hw),
        "store_unit": _store(hw),
        "sequencer": _sequencer(hw),
        "host": _host(hw),
    }
    return made | ({"tables": _tables(hw)} if hw.external else {})


def _half(bits: int, least: int = 0) -> int:
    """Cells of an addition of so many bits, if it is wider than `least`."""
    return -(-bits // 2) if bits > least else 0


def _array(design: Design) -> Features:
    hw = design.hardware
    sums = hw.rows * design.busy_columns * _half(hw.acc_bits)
    return {"sums": sums, "pooled": sums * hw.pooling}


def _drain(hw: Hardware) -> Features:
    rows, total, halved = hw.rows, hw.sum_bits, halved_bits(hw)
    beyond = total - OPERAND_BITS - (not hw.fast)
    left = not hw.fast and total > OPERAND_BITS and beyond % PART_BITS == 0
    pixels = layer_format(hw)["wide_pixels"].width
    return {
        "sums": rows * _half(total),
        "residuals": rows * _half(total) * (bool(hw.residual_bits) and not hw.fast),
        "residuals fast": rows * _half(total) * (bool(hw.residual_bits) and hw.fast),
        "products": rows * _half(total) * (beyond > 0),
        "left": rows * _half(MULT_BITS + 2) * left,
        "rounded": rows * _half(halved + 1),
        "clamped": 2 * rows * _half(halved),
        "wide": 2 * _half(max(halved, WIDE_BITS)),
        "queue": 2 * _half(pixels) * (hw.wide_lanes > 1),
        "address": _half(levels(hw.params)),
    }


def _lanes(design: Design) -> Features:
    hw = design.hardware
    rows, word, coordinate, batched = hw.rows, hw.word_bits, hw.coordinate_bits, hw.batch > 1
    step_x, step_y, step_bank = (design.varying("layers", f"step_{name}") > 0 for name in ("x", "y", "bank"))
    # A lane's bank is added to an entry's, and moves where there is a step; a sum is compared but for powers of two.
    compared, moved = bool(hw.banks & (hw.banks - 1)), 1 + step_bank
    many = hw.bank_bits > SMALL_BANK
    return {
        "words": rows * _half(word + 1),
        "moved": 2 * rows * _half(word + 1),
        "banks": 0.75 * rows * _half(hw.bank_bits + 1) * (1 + compared) * moved * many,
        "few banks": 1.2 * rows * _half(hw.bank_bits + 1, SMALL_BANK) * compared * moved * (not many),
        "bounds": 4 * rows * _half(coordinate, SMALL),
        "steps": rows * _half(coordinate + 1, SMALL) * (1 + step_x + (step_y or batched)),
        "words of images": rows * _half(word + 1) * batched,
        "walker": 2 * _half(word + 1) + _half(word),
        "apart": _half(word) * hw.apart,
    }


def _memory(hw: Hardware) -> Features:
    beyond = (hw.rows - 1) * max(hw.store_strides) // hw.banks
    return {
        "words": (hw.banks - 1) * _half(hw.word_bits),
        "one": 6,
        "beyond": hw.banks * _half(hw.word_bits) * bool(beyond),
    }


def _store(hw: Hardware) -> Features:
    form, word = store_format(hw), hw.word_bits
    pixels, filters = form["pixels"].width, form["filters"].width
    return {
        "words": 5 * _half(word + 1),
        "pixels": 3 * _half(pixels, SMALL),
        "filters": 2 * _half(filters, SMALL),
        "gaps": (_half(word) + 2 * _half(pixels)) * hw.image_gaps,
        "apart": 2 * _half(pixels) * hw.apart,
        "repeated": 2 * _half(word) * hw.upsampling,
    }


def _sequencer(hw: Hardware) -> Features:
    form = tile_format(hw)
    return {
        "cycles": _half(COUNTER) * (2 if hw.external else 1),
        "counters": sum(_half(form[name].width, SMALL) for name in ("length", "pixel_tiles", "passes")),
        "addresses": (_half(levels(hw.entries)) + _half(levels(hw.weights))) * (not hw.external),
    }


def _host(hw: Hardware) -> Features:
    batched = hw.batch > 1
    return {
        "counters": 4 * _half(COUNTER),
        "outputs": 4 * _half(levels(2 * hw.batch * hw.output_words), SMALL),
        "inputs": _half(hw.word_bits) * (1 + batched) + _half(levels(hw.input_beats)),
        "inputs of batches": _half(hw.word_bits) * len(hw.inputs) * batched,
    }


def _tables(hw: Hardware) -> Features:
    ext = hw.external
    assert ext is not None
    return {"address": 28, "one": 35, "rows": levels(ext.entry_rows) + levels(ext.weight_rows)}
