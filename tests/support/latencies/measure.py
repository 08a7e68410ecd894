"""Measuring the latency of one block on the simulator: cycles from its input on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwprm.gateware.core.processing_element import ProcessingElement, operand_flags
from hwprm.isa import Hardware
from tests.support.bench import simulate

__all__ = ["Block", "Cell", "Late", "Measured", "cycles"]

#: What is measured: a block, and the name of the output that is looked at.
Block = Callable[[Any, str], Any]
#: A latency by its name in the table, and what measures it on a block, in a pipeline.
Measured = tuple[str, Callable[[Block, str], int]]


class Late(wiring.Component):
    """`block` with one more register behind its output `port`: the fault that every measurement must see."""

    def __init__(self, block: Any, port: str) -> None:
        self.block, self.port = block, port
        super().__init__(block.signature)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.block = self.block
        outer, inner = (self.block.signature.flatten(obj) for obj in (self, self.block))
        for (path, member, mine), (_, _, its) in zip(outer, inner, strict=True):
            if member.flow is In:
                m.d.comb += Value.cast(its).eq(Value.cast(mine))
            else:
                domain = m.d.sync if path[0] == self.port else m.d.comb
                domain += Value.cast(mine).eq(Value.cast(its))
        return m


class Cell(wiring.Component):
    """A processing element alone, with ports of its own."""

    def __init__(self, hw: Hardware) -> None:
        self.hw = hw
        flags = dict.fromkeys(operand_flags(hw), In(1))
        ports = {"act": In(hw.act_bits), "weight": In(hw.weight_bits), "east": Out(hw.act_bits)}
        super().__init__(ports | flags | {"result": Out(hw.acc_bits)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        west = {key: getattr(self, key) for key in ("act", *operand_flags(self.hw))}
        east, _, result = ProcessingElement(self.hw).build(m, west, self.weight, "pe")
        m.d.comb += [self.east.eq(east["act"]), self.result.eq(result)]
        return m


def cycles(dut: Any, given: Mapping[str, Any], seen: Callable[[Any], bool], before: Any = None, once: str = "") -> int:
    """Cycles from the one that sets the inputs `given`, `once` of them for that cycle only, to the first `seen`.

    `before` prepares the block.
    """
    counted = []

    async def bench(ctx: Any) -> None:
        if before is not None:
            await before(ctx)
        assert not seen(ctx), "it was there before"
        for name, value in given.items():
            ctx.set(getattr(dut, name), value)
        count = 0
        while not seen(ctx):
            await ctx.tick()
            count += 1
            if once:
                port = getattr(dut, once)
                ctx.set(port, {"valid": 0} if once == "tag" else 0)
        counted.append(count)

    simulate(dut, bench, deadline=200)
    return int(counted[0])
