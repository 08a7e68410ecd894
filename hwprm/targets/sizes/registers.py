"""The flip-flops of every block, counted from the gateware's own registers and what synthesis makes of them.

Synthesis keeps one of registers that always hold the same: a signal that is delayed on several ways is one chain, as
long as the longest of them. And it leaves out what is constant in a ROM, or what nothing reads.
"""

from __future__ import annotations

from hwprm.core.numerics import MULT_BITS, WIDE_BITS
from hwprm.isa import (
    Hardware,
    RowShape,
    entry_format,
    layer_format,
    param_format,
    store_format,
    table_formats,
    tile_format,
)
from hwprm.isa.latencies import (
    DESCRIPTOR,
    DRAIN_LEVEL,
    EGRESS_WORD,
    LANE_ADDRESS,
    LANE_STEP,
    LANES_START,
    LAYER_DONE,
    REQUANTISE,
    RESIDUAL_PRODUCT,
    STORE_QUEUE,
    SUM,
    TABLE_READ,
    TAG_TO_SELECT,
    VECTOR_READ,
    issue_to_array,
    issue_to_memory,
    issue_to_weight_address,
    operand_to_sum,
    post_depth,
    tag_to_sum,
)
from hwprm.targets.sizes.memories import Contents

__all__ = ["factor_bits", "registers"]

#: Widest signed operand of one multiplier, and bits that each further one adds.
OPERAND_BITS, PART_BITS = 18, 17
COUNTER, PAGE, ADDRESS = 32, 12, 64


def registers(hw: Hardware, contents: Contents, cells: str) -> dict[str, int]:
    """Flip-flops by block, but for those that belong to a memory and those of the wrapper."""
    plain = cells == "any"
    made = {
        "array": _array(hw, contents, plain),
        "drain": _drain(hw, contents, plain),
        "memory": _memory(hw, contents),
        "lanes": _lanes(hw, contents),
        "store_unit": _store(hw, contents),
        "sequencer": _sequencer(hw, contents),
        "egress": _egress(hw),
        "ingress": _ingress(hw),
        "registers": _host(hw),
        "between blocks": _between(hw, contents),
    }
    return made | ({"tables": _tables(hw)} if hw.external else {})


def _bits(largest: int) -> int:
    return max(1, largest.bit_length())


def _place(hw: Hardware) -> int:
    return hw.word_bits + hw.bank_bits


def factor_bits(hw: Hardware) -> int:
    """Bits of what a residual is multiplied with that are not constant."""
    return hw.factor_bits - (not hw.signed) if hw.gates else hw.residual_bits


def _pairs(count: int) -> int:
    return count * (count - 1) // 2


def _array(hw: Hardware, contents: Contents, plain: bool) -> int:
    rows, cols, stages = hw.rows, hw.cols, hw.multiplier_stages
    columns = contents.weights(hw)
    live = contents.live_columns(hw, plain=plain)
    total = rows * cols * hw.operand_bits + _pairs(rows) * hw.operand_bits
    total += sum((rows + c) * bits for c, bits in enumerate(columns))
    outside = stages if plain else max(0, stages - 3)
    total += rows * live * (outside * (hw.act_bits + hw.weight_bits) + hw.acc_bits)
    # Flags are delayed by row and column: one chain for all; `keep` is a lane's own.
    total += rows + cols - 1 + stages
    if hw.pooling:
        total += 2 * (rows + cols - 1 + stages + 1) + rows * live * (hw.acc_bits + 1)
        chains = sum(r + cols + stages + 1 for r in range(rows))
        total += chains if contents.kept("entries", ("guard",)) else rows + cols + stages
    # The drain's multiplexers, a register behind each; their selects go down with the skew.
    select, results = (cols - 1).bit_length(), cols
    total += (rows - 1) * select
    level = 1
    while True:
        results = -(-results // (1 << hw.radix_bits))
        total += rows * results * hw.acc_bits
        if results == 1:
            break
        total += max(0, select - level * hw.radix_bits)  # of the last row: others share the skew's
        level += 1
    if hw.residual_bits:
        behind = operand_to_sum(hw) - 1 + DRAIN_LEVEL * hw.mux_levels - RESIDUAL_PRODUCT(hw)
        total += rows * (behind + hw.cols * hw.gates) * hw.operand_bits
    return total


def _drain(hw: Hardware, contents: Contents, plain: bool) -> int:
    rows, total_bits, queued = hw.rows, hw.sum_bits, hw.wide_lanes > 1
    filt, address = (hw.cols - 1).bit_length(), _bits(hw.params - 1) if hw.params > 1 else 0
    early = RESIDUAL_PRODUCT(hw) if hw.residual_bits else 0
    ahead, levels = tag_to_sum(hw) - TAG_TO_SELECT, DRAIN_LEVEL * hw.mux_levels
    ready, behind = ahead + levels + SUM(hw), REQUANTISE(hw) - SUM(hw)
    found = filt + 4 * (not queued) + 1 + filt + address  # tag, active, filter, address
    found += filt * (ready if queued else ahead) + address * (ahead + levels - early - TABLE_READ(hw))
    found += ready + behind + post_depth(hw) + rows - 1 + _bits(hw.phases_max - 1) * hw.phased
    if hw.posts:
        found += rows * hw.act_bits * (TABLE_READ(hw) + hw.fast)  # a code beside its table, and what is chosen
    if queued:
        lane, at = (hw.wide_lanes - 1).bit_length(), filt + 1
        run = layer_format(hw)["wide_pixels" if hw.batch == 1 else "wide_run"].width
        found += (filt + 5) * (1 + ready)
        found += 1 + filt + 4 + filt + 2 * lane + run + 7 + at * (hw.wide_lanes - 1)
        found += total_bits + MULT_BITS + param_format(hw)["shift"].width + 7 * behind
    else:
        found += 6 * (ready + behind)
    return found + _parameters(hw, contents, early, queued) + _requantisers(hw, plain)


def _parameters(hw: Hardware, contents: Contents, early: int, queued: bool) -> int:
    """Chains of the parameters, as they go down the lanes and along the stages of the last one."""
    bias, mult, shift = (contents.kept("params", (name,)) for name in ("bias", "mult", "shift"))
    chain = hw.rows - 1 + early
    found = bias * (chain + (hw.fast and not early)) + mult * (chain + SUM(hw))
    along = SUM(hw) + (2 if hw.fast else 1)
    found += shift * (chain + along) + min(shift, 2) * hw.fast
    if queued:
        width = param_format(hw)["shift"].width
        found += width * (2 if hw.fast else 1) + min(width, 2) * hw.fast
    if hw.residual_bits:
        # In the fast pipeline a lane's factor is the next one's parameter as well, but where it may be a gate.
        found += contents.kept("params", ("residual",)) * (hw.rows - 1 + (hw.fast and not hw.gates))
        found += hw.rows * factor_bits(hw) * (hw.fast and hw.gates)
    return found


def _requantisers(hw: Hardware, plain: bool) -> int:
    rows, total, product = hw.rows, hw.sum_bits, hw.sum_bits + MULT_BITS
    cut = min(hw.shift_min, product) - 1
    halved = product - cut
    wide = min(WIDE_BITS, halved)
    found = rows * (total + 2 * halved + hw.act_bits) + WIDE_BITS  # sum, product, rounded, result; lane 0's word
    if hw.residual_bits:
        added = min(hw.operand_bits + factor_bits(hw), total)
        widest = max(hw.operand_bits + (not hw.signed), hw.factor_bits if hw.gates else hw.residual_bits + 1)
        inside = hw.fast and not plain and widest <= OPERAND_BITS
        found += rows * added * (not inside)
    if hw.fast:
        found += rows * (hw.acc_bits + 2 * halved + 2) + (rows - 1) * min(hw.act_bits, wide) + wide + 2
        if hw.residual_bits:
            found += rows * (total + hw.operand_bits)
        if plain:
            parts = PART_BITS + MULT_BITS - cut + total - 1 if total > OPERAND_BITS else halved
            found += rows * parts
    found += _pairs(rows) * hw.act_bits
    return found


def _memory(hw: Hardware, contents: Contents) -> int:
    rows, banks, act, word = hw.rows, hw.banks, hw.act_bits, hw.word_bits
    turned, masked = 3 * hw.fast + TABLE_READ(hw), VECTOR_READ(hw) - 1
    found = turned * hw.bank_bits * (banks > 1)
    said = sum(contents.kept("entries", (name,)) for name in ("unsigned",) * hw.mixed + ("common",) * hw.common)
    found += masked * (contents.kept("layers", ("stride",)) + said + rows)
    found += rows * hw.operand_bits
    beyond, kept = _words_beyond(hw)
    written = len({r * s % banks for r in range(rows) for s in hw.store_strides})
    found += _place(hw) + kept + (act + 1) * written + banks * (1 + act + word)
    if hw.fast:
        read = len({r * s % banks for r in range(rows) for s in hw.strides})
        found += word * (read + banks) + act * (banks + read)
        found += banks * (act + 1 + beyond) + _place(hw) + banks * (1 + act + word)
    return found


def _words_beyond(hw: Hardware) -> tuple[int, int]:
    """Width of a store's words beyond lane 0's, and bits of them that hang on the stride."""
    beyond = ((hw.rows - 1) * max(hw.store_strides) // hw.banks).bit_length()
    kept = 0
    for slot in range(hw.banks):
        words = set()
        for stride in hw.store_strides:
            lane = next((r for r in range(hw.rows) if r * stride % hw.banks == slot), None)
            words.add(0 if lane is None else lane * stride // hw.banks)
        kept += sum(len({word >> bit & 1 for word in words}) > 1 for bit in range(beyond))
    return beyond, kept


def _lanes(hw: Hardware, contents: Contents) -> int:
    rows, coordinate, word, bank = hw.rows, hw.coordinate_bits, hw.word_bits, hw.bank_bits
    place = 2 * coordinate + word + bank
    found = (2 * rows + 1) * place + (LANE_STEP(hw) * rows).bit_length()
    found += rows * (word + 1) + bank + LANES_START(hw) - 1
    found += word * (hw.batch > 1)
    if hw.apart:
        found += word + bank + layer_format(hw)["image_tiles"].width
    if not hw.fast:
        return found
    sums = coordinate + 1 + coordinate + (hw.batch > 1) + word + bank + 1
    wraps = word if hw.batch > 1 else contents.kept("layers", ("wrap_word",))
    found += sums + rows * (sums + 2 * place + 1 + wraps)
    held = ("word", "bank", "y_low", "y_high", "x_low", "x_high", "image")
    found += contents.kept("entries", held) + 2 + contents.kept("tiles", ("base_word",)) * hw.phased
    found += word + rows * (word + bank + 1 + 4)
    return found


def _store(hw: Hardware, contents: Contents) -> int:
    form, place = store_format(hw), _place(hw)
    pixels, filters, lane = form["pixels"].width, form["filters"].width, max(1, hw.rows.bit_length())
    left = (hw.cols - 1).bit_length()
    found = 3 * max(1, hw.cols.bit_length()) + 1 + (hw.stores - 1).bit_length()
    found += 1 + _bits(DESCRIPTOR(hw) - 1) + 2 * place + 2 * pixels + filters + pixels * (hw.image_gaps + hw.apart)
    found += 2 * lane + 2 + pixels * hw.image_gaps  # the tile
    found += 1 + left + 1 + 2 * (place + 1) + 2 * lane + 1 + pixels * hw.image_gaps
    if hw.phased:
        found += _bits(hw.phases_max - 1) + 1
    if hw.upsampling:
        found += form["repeat_y"].width + form["repeat_x"].width + place
    if not hw.fast:
        return found
    names = {field.name for field in form.fields} - {"layer"}
    found += contents.kept("stores", names)
    found += 2 + 3 * place + 2 * pixels
    if hw.image_gaps:
        found += pixels + 1 + 1 + pixels + place + pixels
    found += 2 * place + 2 * pixels + filters + pixels * hw.apart
    found += 2 * lane + 3 + place + left + (hw.cols > 1)
    found += (1 + place + 2 * lane + 1 + hw.rows * hw.act_bits) * (STORE_QUEUE(hw) - 1) + lane
    found += contents.kept("stores", ("stride",)) * (hw.upsampling or hw.phased)
    return found


def _sequencer(hw: Hardware, contents: Contents) -> int:
    form = tile_format(hw)
    found = contents.kept("tiles", {field.name for field in form.fields} - contents.unread("tiles"))
    idle = contents.kept("tiles", ("idle", "idle_last")) > 0
    found += 2 * form["idle"].width * idle
    found += form["length"].width + form["passes"].width + form["pixel_tiles"].width
    found += 3 + 3 - (not idle) * 0
    results = {"clamp_low", "clamp_high", "wide_low", "wide_high", "wide", "wide_pixels", "wide_base", "phases"}
    results |= {"post", "posted", "gated"}
    if hw.wide_lanes > 1:
        results.add("wide_run")
    form = layer_format(hw)
    found += contents.kept("layers", {field.name for field in form.fields} - contents.unread("layers"))
    found += contents.kept("layers", results)
    found += (hw.tiles - 1).bit_length() + (hw.layers - 1).bit_length()
    found += 2 * COUNTER * (2 if hw.external else 1)
    if not hw.external:
        found += _bits(hw.entries - 1) + _bits(hw.weights - 1)
    if hw.fast:
        found += 2 + LAYER_DONE(hw) - 1 + TABLE_READ(hw) - 1 + 3 + bool(hw.external)
    return found


def _egress(hw: Hardware) -> int:
    words, places = hw.output_words, hw.batch * hw.output_words
    found = (1 + 6 + WIDE_BITS) * EGRESS_WORD(hw)
    found += 2 + 2 + 1 + 2 * _bits(2 * places - 1) + (1 + _bits(max(2, words) - 1)) * (words > 1)
    found += 4 * _bits(places)
    if hw.batch > 1:
        found += 3 * hw.batch.bit_length() + layer_format(hw)["wide_pixels"].width
    return found


def _ingress(hw: Hardware) -> int:
    place, count = _place(hw), len(hw.inputs)
    widths, heights = ([part.shape[i] for part in hw.inputs] for i in (2, 1))
    found = _bits(max(2, hw.input_beats) - 1) + _bits(max(2, *widths) - 1 if count > 1 else max(2, widths[0]) - 1) + 1
    found += (count - 1).bit_length() + place + 1 + 2 + 2 * (place + hw.act_bits + 1) + 4 + 2
    if hw.batch > 1:
        found += (hw.batch - 1).bit_length() + count * place + 2 * hw.batch.bit_length() + 1 + 1
        found += (max(heights) - 1).bit_length()
    return found


def _host(hw: Hardware) -> int:
    found = 4 * COUNTER + 2 + 2 + 2 + COUNTER + 2
    if hw.batch > 1:
        found += hw.batch.bit_length()
    if hw.external:
        found += ADDRESS - PAGE + 1
    return found


def _between(hw: Hardware, contents: Contents) -> int:
    found = issue_to_array(hw) * (3 if hw.pooling else 1) + 2 * TABLE_READ(hw)
    if hw.pooling:
        found += VECTOR_READ(hw) * (hw.rows if contents.kept("entries", ("guard",)) else 1)
    found += contents.kept("entries", ("guard",)) * LANE_ADDRESS(hw)
    found += contents.kept("entries", ("unsigned",)) * LANE_ADDRESS(hw) * hw.mixed
    found += contents.kept("entries", ("common",)) * LANE_ADDRESS(hw) * hw.common
    found += contents.kept("tiles", ("base_word",)) * TABLE_READ(hw) * hw.phased
    found += contents.kept("layers", ("stride",)) * (issue_to_memory(hw) - 1)
    tag = contents.kept("tiles", ("filters", "param_base", "layer_first", "frame_last")) + 3
    found += tag * (issue_to_array(hw) + operand_to_sum(hw) - tag_to_sum(hw))
    if hw.external:
        return found + issue_to_memory(hw) + VECTOR_READ(hw)
    found += _bits(hw.weights - 1) * issue_to_weight_address(hw)
    if hw.fast:
        found += sum(contents.weights(hw))
    return found


def _tables(hw: Hardware) -> int:
    ext = hw.external
    assert ext is not None
    found = 1 + ext.fifo_beats.bit_length() + _bits(ext.bursts - 1) + 1 + ADDRESS - (ext.burst_bytes - 1).bit_length()
    found += 2 * ((ext.fifo_beats - 1).bit_length() + 1) + 1
    found += 16 + 16 + 4 + 1
    rings = (
        (entry_format(hw).width, ext.entry_rows, 0),
        (hw.cols * hw.weight_bits, ext.weight_rows, issue_to_weight_address(hw)),
    )
    for width, rows, delay in rings:
        shape = RowShape.of(width, ext.beat_bits)
        word, written = shape.words.bit_length() - 1, (rows - 1).bit_length() + 1
        found += 2 * (word + written) + rows.bit_length() + delay * (1 + word + written - 1) + written
        found += TABLE_READ(hw) * word + (shape.beats - 1).bit_length()
    for form, depth in table_formats(hw).values():
        shape = RowShape.of(form.width, ext.beat_bits)
        word, rows = shape.words.bit_length() - 1, shape.rows(depth)
        found += _bits(rows - 1) + TABLE_READ(hw) * word + (shape.beats - 1).bit_length()
    return found
