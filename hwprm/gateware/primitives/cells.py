"""Multipliers, accumulators, multiplexers: plain, or instances of modules that a target's templates build of its own
cells (``rtl_templates/hwprm_cells_*.v.j2``), which have the same latency and give the same integers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value, signed

from hwprm.gateware.primitives.arithmetic import delay, multiplex
from hwprm.gateware.primitives.memories import MemoryTemplates

__all__ = ["CELLS", "Cells", "accumulate", "choose", "limits", "multiply", "operand"]


@dataclass(frozen=True, kw_only=True)
class Cells:
    """What the modules of a target take: bits of a multiplier's operands, signed and unsigned, and the most inputs of
    a multiplexer, 0 where there is none. `signs`: their multiplier is told which operands are unsigned; `holds`: it
    has registers of its own for both.
    """

    signed: int
    unsigned: int
    inputs: int
    signs: bool = False
    holds: bool = False


#: By the names of `hwprm.config.emit`. Of iCE40 the SB_MAC16 takes 16 bits of either kind, and no cell chooses.
CELLS: Mapping[str, Cells] = {
    "ecp5": Cells(signed=18, unsigned=17, inputs=16),
    "ice40": Cells(signed=16, unsigned=16, inputs=0, signs=True, holds=True),
}
#: What plain Verilog is written for, as most devices have such multipliers.
PLAIN = Cells(signed=18, unsigned=17, inputs=0)


def limits(platform: Any) -> Cells:
    """What one multiplier of the target takes."""
    return _cells(platform) or PLAIN


def operand(platform: Any, value: Value) -> Value:
    """An unsigned `value` for `multiply`: of plain Verilog a signed one, that its product is signed as well."""
    return value if _cells(platform) else _widened(value)


def multiply(m: Module, platform: Any, a: Value, b: Value, *, stages: int, name: str) -> Value:
    """``a * b``, signed, `stages` cycles later."""
    cells = _cells(platform) if stages else None
    if cells:
        fit = all(len(value) <= (cells.signed if value.shape().signed else cells.unsigned) for value in (a, b))
        signs = {f"p_{port}_SIGNED": int(value.shape().signed) for port, value in (("A", a), ("B", b)) if cells.signs}
        a, b = (value if value.shape().signed else _widened(value) for value in (a, b))
        if fit:
            product = Signal(signed(len(a) + len(b)), name=f"{name}_product")
            m.submodules[f"{name}_multiplier"] = Instance(
                "hwprm_multiplier",
                p_A_BITS=len(a),
                p_B_BITS=len(b),
                **signs,
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
    if not 2 < len(values) <= limits(platform).inputs:
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


def _cells(platform: Any) -> Cells | None:
    return CELLS[platform.cells] if isinstance(platform, MemoryTemplates) and platform.cells else None


def _widened(value: Value) -> Value:
    """Unsigned `value`, signed, with a zero in front."""
    return Cat(value, Const(0, 1)).as_signed()
