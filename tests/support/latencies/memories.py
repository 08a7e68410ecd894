"""Memories, and the queues and rings behind external memory: from an address, or a write, to a word."""

from __future__ import annotations

from typing import Any

from hwprm.gateware.external.reader import StreamReader
from hwprm.gateware.memory.beat_fifo import BeatFifo
from hwprm.gateware.memory.ring import Ring
from hwprm.gateware.memory.row_memory import RowMemory
from hwprm.gateware.memory.vector_memory import VectorMemory
from hwprm.gateware.primitives.memories import Ram, Rom
from hwprm.isa import ExternalMemory
from hwprm.isa.latencies import READER_ASK, TABLE_READ, VECTOR_READ, WEIGHT_READ
from tests.support.hardware import hardware
from tests.support.latencies.measure import Block, Measured, cycles

__all__ = ["MEASURED"]


def rom_read(block: Block, pipeline: str) -> int:
    dut = block(Rom(name="r", width=4, depth=2, contents=[3, 5], latency=TABLE_READ.of(pipeline)), "data")
    return cycles(dut, {"addr": 1}, lambda ctx: ctx.get(dut.data) == 5, lambda ctx: ctx.tick())


def weight_read(block: Block, pipeline: str) -> int:
    dut = block(Rom(name="r", width=4, depth=2, contents=[3, 5], latency=WEIGHT_READ.of(pipeline)), "data")
    return cycles(dut, {"addr": 1}, lambda ctx: ctx.get(dut.data) == 5, lambda ctx: ctx.tick())


def ram_read(block: Block, pipeline: str) -> int:
    dut = block(Ram(width=4, depth=2), "read_data")

    async def fill(ctx: Any) -> None:
        for port, value in ((dut.write_enable, 1), (dut.write_addr, 1), (dut.write_data, 5)):
            ctx.set(port, value)
        await ctx.tick()
        ctx.set(dut.write_enable, 0)
        await ctx.tick().repeat(3)

    return cycles(dut, {"read_addr": 1}, lambda ctx: ctx.get(dut.read_data) == 5, fill)


def row_memory_read(block: Block, pipeline: str) -> int:
    dut = block(RowMemory(width=8, depth=4, beat_bits=16, latency=TABLE_READ.of(pipeline)), "data")

    async def fill(ctx: Any) -> None:
        ctx.set(dut.beat, 0x0503)
        ctx.set(dut.push, 1)
        await ctx.tick()
        ctx.set(dut.push, 0)
        await ctx.tick().repeat(3)

    return cycles(dut, {"addr": 1}, lambda ctx: ctx.get(dut.data) == 5, fill)


def vector_read(block: Block, pipeline: str) -> int:
    dut = block(VectorMemory(hardware(pipeline=pipeline)), "data")

    async def fill(ctx: Any) -> None:
        for port, value in ((dut.write_data[0], 7), (dut.last_lane, 1), (dut.write, 1)):
            ctx.set(port, value)
        await ctx.tick()
        ctx.set(dut.write, 0)
        ctx.set(dut.inside[0], 1)
        ctx.set(dut.words[0], 1)
        await ctx.tick().repeat(9)
        ctx.set(dut.words[0], 0)

    return cycles(dut, {}, lambda ctx: ctx.get(dut.data[0]) == 7, fill)


def vector_write(block: Block, pipeline: str) -> int:
    """A read that always asks for the word shows it as soon as an address finds it, and `VECTOR_READ` later."""
    dut = block(VectorMemory(hardware(pipeline=pipeline)), "data")

    async def ask(ctx: Any) -> None:
        ctx.set(dut.inside[0], 1)
        ctx.set(dut.write_data[0], 7)
        ctx.set(dut.last_lane, 1)
        await ctx.tick().repeat(4)

    return cycles(dut, {"write": 1}, lambda ctx: ctx.get(dut.data[0]) == 7, ask, once="write") - VECTOR_READ.of(
        pipeline
    )


EXTERNAL = ExternalMemory(
    beat_bits=16, burst_beats=2, outstanding=1, entry_rows=2, weight_rows=2, chunk=2, boot_bursts=1, bursts=4
)


def reader_ask(block: Block, pipeline: str) -> int:
    dut = block(StreamReader(EXTERNAL), "bus")
    return cycles(dut, {"start": 1}, lambda ctx: ctx.get(dut.bus.arvalid), lambda ctx: ctx.tick())


def reader_room(block: Block, pipeline: str) -> int:
    """The only burst has come and waits; its last beat is taken, and the next burst is asked for."""
    dut = block(StreamReader(EXTERNAL), "bus")

    async def fill(ctx: Any) -> None:
        ctx.set(dut.start, 1)
        ctx.set(dut.bus.arready, 1)
        await ctx.tick().repeat(3)
        ctx.set(dut.bus.rvalid, 1)
        await ctx.tick().repeat(2)
        ctx.set(dut.bus.rvalid, 0)
        await ctx.tick().repeat(4)
        ctx.set(dut.pop, 1)
        await ctx.tick()

    return cycles(dut, {"pop": 1}, lambda ctx: ctx.get(dut.bus.arvalid), fill, once="pop") - READER_ASK


def fifo_head(block: Block, pipeline: str) -> int:
    dut = block(BeatFifo(width=4, depth=4), "valid")
    return cycles(dut, {"write": 1}, lambda ctx: ctx.get(dut.valid), once="write")


def _ring(block: Block, port: str) -> Any:
    return block(Ring(width=16, rows=2, beat_bits=16, read_delay=0), port)


def row_ready(block: Block, pipeline: str) -> int:
    dut = _ring(block, "ready")
    return cycles(dut, {"push": 1}, lambda ctx: ctx.get(dut.ready), lambda ctx: ctx.tick(), once="push")


def row_freed(block: Block, pipeline: str) -> int:
    dut = _ring(block, "room")

    async def fill(ctx: Any) -> None:
        ctx.set(dut.push, 1)
        await ctx.tick().repeat(2)
        ctx.set(dut.push, 0)
        await ctx.tick().repeat(3)
        ctx.set(dut.ends, 1)
        ctx.set(dut.release, 1)

    return cycles(dut, {"step": 1}, lambda ctx: ctx.get(dut.room), fill, once="step")


MEASURED: tuple[Measured, ...] = (
    ("MEMORY_READ", ram_read),
    ("TABLE_READ", rom_read),
    ("TABLE_READ", row_memory_read),
    ("WEIGHT_READ", weight_read),
    ("VECTOR_READ", vector_read),
    ("VECTOR_WRITE", vector_write),
    ("READER_ASK", reader_ask),
    ("READER_ROOM", reader_room),
    ("FIFO_HEAD", fifo_head),
    ("ROW_READY", row_ready),
    ("ROW_FREED", row_freed),
)
