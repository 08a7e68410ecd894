"""What a block's LUTs grow with: for each piece of logic that it has, about the LUTs that it should take.

The model of `hwprm.targets.model` multiplies each with a coefficient near 1 that was fitted to synthesised designs. A
multiplexer of two inputs is a LUT a bit. What numbers stand here were read off netlists, LUT by LUT, by the names of
the registers that each is in front of.
"""

from __future__ import annotations

from hwprm.isa import (
    Hardware,
    RowShape,
    entry_format,
    layer_format,
    store_format,
    table_formats,
    tile_format,
)
from hwprm.targets.sizes.datapath import SMALL, Features, chosen, datapath
from hwprm.targets.sizes.delays import hurried, through
from hwprm.targets.sizes.design import Design, levels

__all__ = ["luts"]


def luts(design: Design) -> dict[str, Features]:
    """Block -> feature -> LUTs."""
    hw = design.hardware
    made = {
        **datapath(design),
        "store_unit": _store_fast(design) if hw.fast else _store(design),
        "sequencer": _sequencer(design),
        "egress": _egress(hw),
        "ingress": _ingress(hw),
        "registers": _registers(hw),
        "between blocks": _between(hw),
        "parts": _parts(design),
    }
    return made | ({"tables": _tables(hw)} if hw.external else {})


def _place(hw: Hardware) -> int:
    """Bits of an address that are not constant."""
    return hw.word_bits + levels(hw.banks)


def _store_fast(design: Design) -> Features:
    hw = design.hardware
    form, place, odd = store_format(hw), _place(hw), hw.banks & (hw.banks - 1)
    pixels, filters, lane = form["pixels"].width, form["filters"].width, max(1, hw.rows.bit_length())
    return {
        "fast": 110,
        "banks fast": 9.5 * levels(hw.banks) * bool(odd),
        "pixels fast": 4.3 * pixels,
        "filters fast": 2 * filters + 1.7 * levels(hw.cols),
        "lanes fast": 2 * lane,
        "gaps fast": (50 + 0.9 * (place + pixels)) * hw.image_gaps,
        "apart": 2 * (place + pixels) * hw.apart,
        "repeated fast": (40 + 0.4 * place) * hw.upsampling,
        "phased fast": (2.8 * place if hw.banks > 1 else 1.1 * hw.word_bits) * hw.phased,
        "external fast": 60 * bool(hw.external),
    }


def _store(design: Design) -> Features:
    hw = design.hardware
    form, place, odd = store_format(hw), _place(hw), hw.banks & (hw.banks - 1)
    pixels, filters, lane = form["pixels"].width, form["filters"].width, max(1, hw.rows.bit_length())
    varying = design.varying("stores", *(field.name for field in form.fields if field.name != "layer"))
    return {
        "short": 36,
        "words": 2.5 * hw.word_bits,
        "banks": (19 + 8.5 * levels(hw.banks)) * bool(odd),
        "pixels": 1.9 * pixels * (pixels > SMALL),
        "filters": 5 * filters + 0.4 * levels(hw.cols),
        "lanes": 6.7 * lane,
        "varying": 0.95 * varying * (not hw.external),
        "varying external": 0.6 * varying * bool(hw.external),
        "gaps": 3.8 * (place + pixels) * hw.image_gaps,
        "apart": 2 * (place + pixels) * hw.apart,
        "repeated": 2.2 * place * hw.upsampling,
        "phased": 1.3 * place * hw.phased,
    }


def _sequencer(design: Design) -> Features:
    hw = design.hardware
    form, external = tile_format(hw), bool(hw.external)
    tails = bool(hw.residual_bits) and not external and design.used("tiles", "shared")
    counted = sum(form[name].width for name in ("length", "passes", "pixel_tiles", "idle"))
    return {
        "one": 30,
        "counters": (2.1 if hw.fast else 1.3) * counted,
        "indices": 1.75 * (levels(hw.tiles) + levels(hw.layers)) * (not hw.fast),
        "addresses": (2.6 if hw.fast else 1.4) * (levels(hw.entries) + levels(hw.weights)) * (not external),
        "external": 25 * external,
        "tails": 1.1 * (levels(hw.entries) + form["length"].width) * tails,
        "tails external": 30 * (external and bool(hw.residual_bits)),
        "gates external": 15 * (external and hw.gates),
        "idle": (0.8 if hw.fast else 2.5) * form["idle"].width * hw.idle_differs,
    }


def _egress(hw: Hardware) -> Features:
    place, pixels = levels(2 * hw.batch * hw.output_words), layer_format(hw)["wide_pixels"].width
    return {
        "one": 60,
        "places": 2.7 * place if hw.fast else 0.6 * place + 4.7 * pixels,
        "several": (24 if hw.fast else 15) * (hw.output_words > 1),
        "batch": (1.5 if hw.fast else 2.5) * (place + pixels) * (hw.batch > 1),
    }


def _ingress(hw: Hardware) -> Features:
    place, batched, inputs = _place(hw), hw.batch > 1, len(hw.inputs)
    return {
        "one": 19,
        "places": 2.9 * place + 2.4 * hw.act_bits,
        "beats": 1.4 * levels(hw.input_beats),
        "inputs": 0.7 * place * (inputs - 1),
        "batch": 29 * batched,
        "inputs of batches": 2.5 * place * inputs * batched,
        "external": 5 * bool(hw.external),
    }


def _registers(hw: Hardware) -> Features:
    return {"registers": 165, "external": 80 * bool(hw.external)}


def _between(hw: Hardware) -> Features:
    lane = max(1, hw.rows.bit_length())
    return {
        "given": 0.5 * (hw.act_bits + _place(hw) + 2 * lane),
        "rows": hw.rows,
        "one": 7 if hw.fast else 30,
    }


def _parts(design: Design) -> Features:
    """What chooses between the cells of a memory that is deeper than one."""
    found = {True: 0.0, False: 0.0}
    for memory in design.memories:
        cells, parts = memory.cells, memory.cells.parts
        if parts > 1:
            found[memory.name.startswith("tables")] += (parts - 1) * memory.width + parts * (not cells.blocks)
    return {"tables": found[True], "memories": found[False], "hurried memories": _hurried(design)}


def _hurried(design: Design) -> float:
    """What choosing between the LUT RAMs of the banks takes more where it ends the longest path: their words come in
    the cycle of an address, which is chosen by the stride and turned.
    """
    hw, found = design.hardware, 0.0
    for memory in design.memories:
        parts = memory.cells.parts
        if memory.name.startswith("memory.bank") and memory.cells.luts and parts > 1:
            path = through((len(hw.strides) > 1) + levels(hw.banks) + levels(parts))
            found += memory.width * hurried(path, design)
    return found


def _tables(hw: Hardware) -> Features:
    ext = hw.external
    assert ext is not None
    widths = [entry_format(hw).width, hw.cols * hw.weight_bits, *(form.width for form, _ in table_formats(hw).values())]
    shapes = [RowShape.of(width, ext.beat_bits) for width in widths]
    return {
        "chosen": sum(chosen(shape.words) * shape.width for shape in shapes),
        "rows": 2 * (levels(ext.entry_rows) + levels(ext.weight_rows)),
        "one": 100,
    }
