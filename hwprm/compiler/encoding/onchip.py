"""Memory on the chip, bit by bit, and the budget it must keep to."""

from __future__ import annotations

from hwprm.compiler.encoding.external import entry_shape, weight_shape
from hwprm.core.errors import ConfigError
from hwprm.core.numerics import WIDE_BITS
from hwprm.isa import Hardware, RowShape, entry_format, table_formats

__all__ = ["check_budget", "onchip_bits"]


def onchip_bits(hw: Hardware) -> dict[str, int]:
    """Bits of every memory by name: ROMs or what stands for them, activations, results."""
    bits = {
        "activations": hw.banks * hw.memory_words * hw.act_bits,
        "results": 2 * hw.batch * hw.output_words * WIDE_BITS,
    }
    if hw.posts:
        bits["posts"] = hw.rows * hw.post_words * hw.act_bits
    tables = table_formats(hw)
    ext = hw.external
    if ext is None:
        bits |= {"entries": hw.entries * entry_format(hw).width, "weights": hw.weights * hw.cols * hw.weight_bits}
        return bits | {name: depth * form.width for name, (form, depth) in tables.items()}
    shapes = {name: (RowShape.of(form.width, ext.beat_bits), depth) for name, (form, depth) in tables.items()}
    bits |= {
        "beats": ext.fifo_beats * ext.beat_bits,
        "entries": ext.entry_rows * entry_shape(hw, ext).bits,
        "weights": ext.weight_rows * weight_shape(hw, ext).bits,
    }
    return bits | {name: shape.rows(depth) * shape.bits for name, (shape, depth) in shapes.items()}


def check_budget(hw: Hardware, budget: int | None) -> None:
    """Raise ConfigError, with every memory's bits, when they are more than `budget`."""
    bits = onchip_bits(hw)
    total = sum(bits.values())
    if budget is None or total <= budget:
        return
    listed = ", ".join(f"{name} {count}" for name, count in sorted(bits.items(), key=lambda item: -item[1]))
    if hw.external is None:
        mend = "keep the weights outside with array.weights = axi, or prune more"
    else:
        mend = "lower array.axi_entry_buffer, array.axi_weight_buffer or array.axi_outstanding, or shrink the maps"
    raise ConfigError(f"the design needs {total} bits on the chip ({listed}), array.onchip_bits is {budget}; {mend}")
