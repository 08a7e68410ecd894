"""Multipliers, accumulators, multiplexers: plain, or instances of modules that a target's templates build of its own
cells (``rtl_templates/hwprm_cells_*.v.j2``), which have the same latency and give the same integers."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value, signed

from hwprm.gateware.primitives.arithmetic import delay, multiplex
from hwprm.gateware.primitives.memories import MemoryTemplates

__all__ = ["accumulate", "choose", "multiply"]

#: Widest signed operand of a target's multiplier, most inputs of its multiplexer.
OPERAND_BITS, INPUTS = 18, 16


def multiply(m: Module, platform: Any, a: Value, b: Value, *, stages: int, name: str) -> Value:
    """``a * b``, signed, `stages` cycles later."""
    if stages and _cells(platform):
        a, b = (value if value.shape().signed else Cat(value, Const(0, 1)).as_signed() for value in (a, b))
    if stages and _cells(platform) and max(len(a), len(b)) <= OPERAND_BITS:
        product = Signal(signed(len(a) + len(b)), name=f"{name}_product")
        m.submodules[f"{name}_multiplier"] = Instance(
            "hwprm_multiplier",
            p_A_BITS=len(a),
            p_B_BITS=len(b),
            p_STAGES=stages,
            i_clk=ClockSignal(),
            i_a=a,
            i_b=b,
            o_p=product,
        )
        return product
    return delay(m, a * b, stages, name=f"{name}_product")


def accumulate(m: Module, platform: Any, first: Value, term: Value, *, bits: int, name: str) -> Value:
    """Register of `bits` signed bits that adds `term` to itself every cycle, or takes it where `first` is set."""
    total = Signal(signed(bits), name=name, reset_less=True)
    if _cells(platform):
        m.submodules[f"{name}_accumulator"] = Instance(
            "hwprm_accumulator",
            p_BITS=bits,
            p_TERM_BITS=len(term),
            i_clk=ClockSignal(),
            i_first=first,
            i_term=term,
            o_total=total,
        )
    else:
        m.d.sync += total.eq(Mux(first, 0, total) + term)
    return total


def choose(m: Module, platform: Any, values: Sequence[Value], select: Value, *, name: str) -> Value:
    """``values[select]``, all of one width; anything for a select past the end."""
    bits = max(1, (len(values) - 1).bit_length())
    if not _cells(platform) or not 2 < len(values) <= INPUTS:
        return multiplex(values, select)
    chosen = Signal(len(values[0]), name=f"{name}_chosen")
    m.submodules[f"{name}_multiplexer"] = Instance(
        "hwprm_multiplexer",
        p_WIDTH=len(values[0]),
        p_COUNT=len(values),
        p_SELECT_BITS=bits,
        i_values=Cat(*values),
        i_select=select[:bits],
        o_chosen=chosen,
    )
    return chosen


def _cells(platform: Any) -> bool:
    return isinstance(platform, MemoryTemplates) and platform.cells
