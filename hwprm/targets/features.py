"""What a block's LUTs and flip-flops grow with: numbers of `Hardware` that have a meaning in the gateware.

A feature is a count of bits that the gateware really has: of registers, of additions, of multiplexers. The model of
`hwprm.targets.model` is a sum of them, each with a coefficient that was fitted to synthesised designs.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log2

from hwprm.isa import Hardware, RowShape, entry_format, layer_format, param_format, store_format, tile_format
from hwprm.isa.latencies import issue_to_array

__all__ = ["Features", "features"]

#: Block -> feature -> its value.
Features = Mapping[str, Mapping[str, float]]


def features(hw: Hardware, cells: str) -> dict[str, dict[str, float]]:
    """The features of every block of `hw`, whose arithmetic is written in `cells`: ``any``, or those of a family."""
    made = {
        "array": _array(hw, cells),
        "drain": _drain(hw, cells),
        "memory": _memory(hw),
        "lanes": _lanes(hw),
        "store_unit": _store(hw),
        "sequencer": _sequencer(hw),
        "host": _host(hw),
        "glue": _glue(hw),
    }
    return made | ({"tables": _tables(hw)} if hw.external else {"roms": _roms(hw)})


def _depth(inputs: int) -> int:
    return ceil(log2(inputs)) if inputs > 1 else 0


def _array(hw: Hardware, cells: str) -> dict[str, float]:
    rows, cols, flags = hw.rows, hw.cols, 4 if hw.pooling else 1
    elements, plain = rows * cols, cells == "any"
    registers = elements * (hw.operand_bits + hw.weight_bits + hw.acc_bits + flags * (1 + hw.multiplier_stages))
    registers += elements * (hw.acc_bits + 4) * hw.pooling
    registers += elements * (hw.act_bits + hw.weight_bits) * hw.multiplier_stages * plain
    skew = rows * (rows - 1) // 2 * (hw.operand_bits + flags) + cols * (cols - 1) // 2 * hw.weight_bits
    return {
        "registers": registers,
        "skew": skew + rows * hw.acc_bits * hw.mux_levels,
        "passed": rows * hw.operand_bits * (2 + hw.mux_levels) * bool(hw.residual_bits),
        "cleared": elements * hw.acc_bits * plain,
        "pooled": elements * hw.acc_bits * hw.pooling,
        "chosen": rows * max(0, cols - 1) * hw.acc_bits,
        "elements": elements,
    }


def _drain(hw: Hardware, cells: str) -> dict[str, float]:
    rows, total = hw.rows, hw.sum_bits
    product, param = total + 16, param_format(hw).width
    halved = max(1, product - hw.shift_min + 1)
    shifts = _depth(hw.shift_max - hw.shift_min + 1)
    return {
        "params": rows * param,
        "sums": rows * total,
        "products": rows * product,
        "halved": rows * halved,
        "halved fast": rows * halved * hw.fast,
        "barrel": rows * halved * shifts,
        "clamped": rows * hw.operand_bits,
        "fast": rows * (total + param + product) * hw.fast,
        "halves": rows * product * (total > 18) * (hw.fast and cells != "any"),
        "deskew": rows * (rows - 1) / 2 * hw.act_bits,
        "residuals": rows * (hw.residual_bits + hw.act_bits) * bool(hw.residual_bits),
        "queued": (hw.wide_lanes * total + product) * (hw.wide_lanes > 1),
        "one": 1,
    }


def _memory(hw: Hardware) -> dict[str, float]:
    banks, turns = hw.banks, _depth(hw.banks)
    several = (len(hw.strides) > 1) + (len(hw.store_strides) > 1)
    write = banks * (hw.act_bits + 1)
    return {
        "read turned": banks * turns * (hw.word_bits + hw.act_bits),
        "write turned": write * turns,
        "chosen": banks * several * (hw.word_bits + hw.act_bits),
        "masked": hw.rows * hw.operand_bits,
        "registers": write + banks * (hw.word_bits + hw.act_bits + 1),
        "registers fast": (write + banks * (hw.word_bits + hw.act_bits) + 3 * hw.rows) * hw.fast,
        "words": banks * hw.word_bits,
        "one": 1,
    }


def _lanes(hw: Hardware) -> dict[str, float]:
    place = 2 * hw.coordinate_bits + hw.word_bits + hw.bank_bits
    return {
        "places": (hw.rows + 1) * place,
        "places fast": (hw.rows + 1) * place * hw.fast,
        "words": hw.rows * (hw.word_bits + 1),
        "words fast": hw.rows * (hw.word_bits + hw.bank_bits + 4) * hw.fast,
        "bounds": hw.rows * 4 * hw.coordinate_bits,
        "batch": hw.rows * (place + hw.word_bits) * (hw.batch > 1),
        "one": 1,
    }


def _store(hw: Hardware) -> dict[str, float]:
    form, at = store_format(hw), hw.word_bits + hw.bank_bits
    pixels = form["pixels"].width
    return {
        "queue": hw.rows * hw.act_bits,
        "queue fast": hw.rows * hw.act_bits * hw.fast,
        "addresses": at,
        "addresses fast": at * hw.fast,
        "counters": pixels + form["filters"].width,
        "counters fast": (pixels + form["filters"].width) * hw.fast,
        "lanes": hw.rows.bit_length(),
        "more": (at + pixels) * (hw.image_gaps + hw.apart + hw.upsampling + hw.phased),
        "one": 1,
    }


def _sequencer(hw: Hardware) -> dict[str, float]:
    tile, layer = tile_format(hw).width, layer_format(hw).width
    return {
        "tile": tile,
        "layer": layer,
        "addresses": (hw.entries.bit_length() + hw.weights.bit_length()) * (hw.external is None),
        "counters": hw.pass_length_max.bit_length() + hw.passes_max.bit_length() + hw.pixel_tiles_max.bit_length(),
        "external": bool(hw.external),
        "one": 1,
    }


def _host(hw: Hardware) -> dict[str, float]:
    at, results = hw.word_bits + hw.bank_bits, (2 * hw.batch * hw.output_words).bit_length()
    return {
        "place": at + hw.act_bits,
        "beats": hw.input_beats.bit_length(),
        "results": results,
        "inputs": at * (len(hw.inputs) - 1),
        "batch": (at + results) * (hw.batch > 1),
        "external": bool(hw.external),
        "one": 1,
    }


def _glue(hw: Hardware) -> dict[str, float]:
    delays = issue_to_array(hw)
    return {
        "write": hw.rows * hw.act_bits,
        "delays": delays,
        "keeps": hw.rows * delays * hw.pooling,
        "weights": hw.cols * hw.weight_bits,
        "layer": layer_format(hw).width,
        "external": bool(hw.external),
        "one": 1,
    }


def _roms(hw: Hardware) -> dict[str, float]:
    widths = sum(form(hw).width for form in (tile_format, layer_format, store_format, param_format))
    return {"widths": widths, "entries": entry_format(hw).width, "fast": hw.fast, "one": 1}


def _tables(hw: Hardware) -> dict[str, float]:
    ext = hw.external
    assert ext is not None
    forms = {"entries": entry_format(hw).width, "weights": hw.cols * hw.weight_bits}
    forms |= {name: form(hw).width for name, form in _SMALL.items()}
    shapes = [RowShape.of(width, ext.beat_bits) for width in forms.values()]
    return {
        "chosen": sum((shape.words - 1) * shape.width for shape in shapes),
        "widths": sum(forms.values()),
        "widths fast": sum(forms.values()) * hw.fast,
        "kept": sum(shape.bits for shape in shapes),
        "rows": (ext.entry_rows * ext.weight_rows).bit_length(),
        "beat": ext.beat_bits,
        "one": 1,
    }


_SMALL = {"tiles": tile_format, "layers": layer_format, "stores": store_format, "params": param_format}
