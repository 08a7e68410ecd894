"""The array: from operands to a sum at the end of its row."""

from __future__ import annotations

from typing import Any

from hwprm.gateware.core.array import SystolicArray
from hwprm.gateware.core.drain import Drain
from hwprm.gateware.core.processing_element import operand_flags
from hwprm.isa import Hardware
from hwprm.isa.latencies import OPERAND, TAG_TO_SELECT, tag_to_sum
from tests.support.hardware import hardware
from tests.support.latencies.measure import Block, Cell, Measured, cycles

__all__ = ["MEASURED"]


def operand(block: Block, pipeline: str) -> int:
    dut = block(Cell(hardware(pipeline=pipeline)), "east")
    return cycles(dut, {"act": 3}, lambda ctx: ctx.get(dut.east) == 3)


def _sum(block: Block, hw: Hardware) -> int:
    dut = block(Cell(hw), "result")

    async def hold(ctx: Any) -> None:
        for flag in operand_flags(hw):
            ctx.set(getattr(dut, flag), 1)
        await ctx.tick().repeat(8)

    return cycles(dut, {"act": 3, "weight": 4}, lambda ctx: ctx.get(dut.result) == 12, hold) - hw.multiplier_stages


def accumulate(block: Block, pipeline: str) -> int:
    found = {_sum(block, hardware(pipeline=pipeline, multiplier_stages=stages)) for stages in (0, 1, 3)}
    (total,) = found
    return total - OPERAND


def maximum(block: Block, pipeline: str) -> int:
    hw = hardware(pipeline=pipeline, pooling=True)
    return _sum(block, hw) - _sum(lambda dut, port: dut, hardware(pipeline=pipeline))


def tag_to_select(block: Block, pipeline: str) -> int:
    """The first filter's select is 0; the second's, one cycle later, is the first to be seen."""
    hw = hardware(pipeline=pipeline)
    dut = block(Drain(hw), "select")
    tag = {"valid": 1, "filters": 1}
    ahead = tag_to_sum(hw) - TAG_TO_SELECT  # parameters are read
    return cycles(dut, {"tag": tag}, lambda ctx: ctx.get(dut.select) == 1, once="tag") - 1 - ahead


def drain_level(block: Block, pipeline: str) -> int:
    found = set()
    for cols in (2, 17):
        hw = hardware(pipeline=pipeline, rows=1, cols=cols)
        dut = block(SystolicArray(hw), "drained")

        async def settle(ctx: Any, dut: Any = dut, cols: int = cols) -> None:
            ctx.set(dut.operands[0], {"act": 1, "first": 1})
            for c in range(cols):
                ctx.set(dut.weights[c], c + 1)
            await ctx.tick().repeat(cols + 9)

        def last(ctx: Any, dut: Any = dut, cols: int = cols) -> bool:
            return bool(ctx.get(dut.drained[0]) == cols)

        found.add(cycles(dut, {"select": cols - 1}, last, settle) / hw.mux_levels)
    (level,) = found
    return int(level)


MEASURED: tuple[Measured, ...] = (
    ("OPERAND", operand),
    ("ACCUMULATE", accumulate),
    ("MAXIMUM", maximum),
    ("TAG_TO_SELECT", tag_to_select),
    ("DRAIN_LEVEL", drain_level),
)
