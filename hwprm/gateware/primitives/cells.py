"""Multipliers and accumulators: plain arithmetic, or instances of modules that a target's templates build of its own
cells (``rtl_templates/hwprm_cells_*.v.j2``), which have the same latency and give the same integers."""

from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, Mux, Signal, Value, signed

from hwprm.gateware.primitives.arithmetic import delay
from hwprm.gateware.primitives.memories import MemoryTemplates

__all__ = ["accumulate", "multiply"]

#: Widest signed operand of a target's multiplier.
OPERAND_BITS = 18


def multiply(m: Module, platform: Any, a: Value, b: Value, *, stages: int, name: str) -> Value:
    """``a * b``, both signed, `stages` cycles later."""
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


def _cells(platform: Any) -> bool:
    return isinstance(platform, MemoryTemplates) and platform.cells
