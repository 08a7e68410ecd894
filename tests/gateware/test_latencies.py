"""Every latency of `hwprm.isa.latencies`, measured: each block alone on the simulator, cycles counted from input on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hwprm.gateware.core.array import SystolicArray
from hwprm.gateware.core.drain import Drain
from hwprm.gateware.core.lanes import LaneAddresses
from hwprm.gateware.core.pixel_tiles import PixelTiles
from hwprm.gateware.core.posts import Posts
from hwprm.gateware.core.processing_element import operand_flags
from hwprm.gateware.core.requantiser import Requantiser
from hwprm.gateware.core.sequencer import Sequencer
from hwprm.gateware.core.store import StoreUnit
from hwprm.gateware.core.word_queue import WordQueue
from hwprm.gateware.external.reader import StreamReader
from hwprm.gateware.host.egress import Egress
from hwprm.gateware.memory.beat_fifo import BeatFifo
from hwprm.gateware.memory.ring import Ring
from hwprm.gateware.memory.row_memory import RowMemory
from hwprm.gateware.memory.vector_memory import VectorMemory
from hwprm.gateware.primitives.memories import Ram, Rom
from hwprm.isa import ExternalMemory, Hardware
from hwprm.isa.latencies import (
    FIRST_ISSUE,
    LANE_STEP,
    LATENCIES,
    OPERAND,
    READER_ASK,
    REQUANTISE,
    TABLE_READ,
    TAG_TO_SELECT,
    VECTOR_READ,
    WEIGHT_READ,
    Depth,
    tag_to_sum,
)
from tests.support.bench import simulate
from tests.support.hardware import hardware
from tests.support.latencies import Block, Cell, Late, cycles


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


def _until_ready(block: Block, hw: Hardware) -> int:
    dut = block(LaneAddresses(hw), "ready")
    begun = []

    def ready(ctx: Any) -> bool:
        begun.append(not ctx.get(dut.ready))
        return any(begun[2:]) and not begun[-1]  # it is ready before, and must have been busy

    return cycles(dut, {"start": 1}, ready, once="start")


def lane_step(block: Block, pipeline: str) -> int:
    few, many = (_until_ready(block, hardware(pipeline=pipeline, rows=rows)) for rows in (3, 5))
    return (many - few) // 2


def lanes_start(block: Block, pipeline: str) -> int:
    hw = hardware(pipeline=pipeline, rows=5)
    return _until_ready(block, hw) - LANE_STEP(hw) * hw.rows


def lane_address(block: Block, pipeline: str) -> int:
    dut = block(LaneAddresses(hardware(pipeline=pipeline)), "words")
    return cycles(dut, {"entry": {"word": 5}}, lambda ctx: ctx.get(dut.words[0]) == 5)


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


def residual_product(block: Block, pipeline: str) -> int:
    dut = block(Requantiser(hardware(pipeline=pipeline, residual_bits=4), wide=False), "result")
    given = {"residual": 6, "factor": 2}
    late = cycles(dut, given, lambda ctx: ctx.get(dut.result) == 6, _identity(dut))
    return late - REQUANTISE.of(pipeline)


def requantize(block: Block, pipeline: str) -> int:
    dut = block(Requantiser(hardware(pipeline=pipeline), wide=False), "result")
    return cycles(dut, {"acc": 12}, lambda ctx: ctx.get(dut.result) == 6, _identity(dut))


def _identity(dut: Any) -> Any:
    """Half of the sum, whatever it is, from now on."""

    async def hold(ctx: Any) -> None:
        ctx.set(dut.param, {"bias": 0, "mult": 1, "shift": 0})
        ctx.set(dut.clamp_low, -128)
        ctx.set(dut.clamp_high, 127)
        await ctx.tick().repeat(12)

    return hold


def biased(block: Block, pipeline: str) -> int:
    dut = block(Requantiser(hardware(pipeline=pipeline), wide=False), "head")
    return cycles(dut, {"acc": 12}, lambda ctx: ctx.get(dut.head.total) == 12, _identity(dut))


def post(block: Block, pipeline: str) -> int:
    dut = block(Posts(hardware(pipeline=pipeline, act_bits=2, posts=1), [0, 0, 3, 0]), "result")

    async def choose(ctx: Any) -> None:
        ctx.set(dut.layer, {"posted": 1})
        await ctx.tick().repeat(4)

    return cycles(dut, {"code": 2}, lambda ctx: ctx.get(dut.result) == 3, choose)


def word_queue(block: Block, pipeline: str) -> int:
    dut = block(WordQueue(hardware(pipeline=pipeline, wide_lanes=2)), "queued")

    async def describe(ctx: Any) -> None:
        ctx.set(dut.tag, {"valid": 1, "pixel_first": 1})
        ctx.set(dut.layer, {"wide": 1, "wide_pixels": 2})
        await ctx.tick()

    given = {"head": {"total": 5}, "write": 1, "start": 1}
    return cycles(dut, given, lambda ctx: ctx.get(dut.valid) and ctx.get(dut.queued.total) == 5, describe, once="start")


def store_queue(block: Block, pipeline: str) -> int:
    dut = block(StoreUnit(hardware(pipeline=pipeline)), "write")

    async def describe(ctx: Any) -> None:
        await _described(ctx, dut)

    return cycles(dut, {"vector_valid": 1}, lambda ctx: ctx.get(dut.write), describe, once="vector_valid")


async def _described(ctx: Any, dut: Any) -> None:
    """Three pixel tiles of three lanes and one filter."""
    ctx.set(dut.store, {"width": 9, "pixels": 9, "filters": 1})
    ctx.set(dut.loaded, 1)
    await ctx.tick().repeat(12)


def spacing(block: Block, pipeline: str) -> int:
    """Vectors of three pixel tiles, one after the other: the first two are prepared, the third keeps the distance."""
    dut = block(StoreUnit(hardware(pipeline=pipeline)), "write")
    written = []

    async def bench(ctx: Any) -> None:
        await _described(ctx, dut)
        for cycle in range(40):
            ctx.set(dut.vector_valid, int(cycle < 3))
            if ctx.get(dut.write):
                written.append(cycle)
            await ctx.tick()

    simulate(dut, bench, deadline=200)
    _, before, after = written
    return int(after - before)


def descriptor(block: Block, pipeline: str) -> int:
    dut = block(PixelTiles(hardware(pipeline=pipeline)), "ready")
    busy = []

    def ready(ctx: Any) -> bool:
        busy.append(not ctx.get(dut.ready))
        return any(busy[2:]) and not busy[-1]  # it is ready before, and must have been busy

    async def describe(ctx: Any) -> None:
        ctx.set(dut.loaded, 1)
        await ctx.tick().repeat(15)

    return cycles(dut, {"done": 1}, ready, describe, once="done")


def egress_word(block: Block, pipeline: str) -> int:
    dut = block(Egress(hardware(pipeline=pipeline)), "layer_done")
    given = {"word_valid": 1, "flags": {"layer_last": 1, "tile_last": 1}}
    return cycles(dut, given, lambda ctx: ctx.get(dut.layer_done), once="word_valid")


async def _started(ctx: Any, dut: Any) -> None:
    """One layer of one entry, everything ready but the lanes."""
    tile = {"layer_first": 1, "layer_last": 1, "frame_last": 1}
    for port in (dut.words_ready, dut.tail_ready, dut.loaded, dut.run, dut.image_ready, dut.room):
        ctx.set(port, 1)
    ctx.set(dut.tile, tile)
    await ctx.tick().repeat(6)


def first_issue(block: Block, pipeline: str) -> int:
    dut = block(Sequencer(hardware(pipeline=pipeline)), "tag")
    return cycles(dut, {"lanes_ready": 1}, lambda ctx: ctx.get(dut.tag.valid), lambda ctx: _started(ctx, dut))


def setup(block: Block, pipeline: str) -> int:
    dut = block(Sequencer(hardware(pipeline=pipeline)), "lanes_start")

    async def issue(ctx: Any) -> None:
        await _started(ctx, dut)
        ctx.set(dut.lanes_ready, 1)
        while not ctx.get(dut.tag.valid):
            await ctx.tick()

    return cycles(dut, {"lanes_ready": 0}, lambda ctx: ctx.get(dut.lanes_start), issue)


def layer_done(block: Block, pipeline: str) -> int:
    dut = block(Sequencer(hardware(pipeline=pipeline)), "tag")

    async def issue(ctx: Any) -> None:
        await _started(ctx, dut)
        ctx.set(dut.lanes_ready, 1)
        await ctx.tick().repeat(9)  # the first layer is issued, the next one waits

    return cycles(dut, {"layer_done": 1}, lambda ctx: ctx.get(dut.tag.valid), issue, once="layer_done") - FIRST_ISSUE


EXTERNAL = ExternalMemory(
    beat_bits=16, burst_beats=2, outstanding=1, entry_rows=2, weight_rows=2, chunk=2, boot_bursts=1, bursts=4
)


def reader_ask(block: Block, pipeline: str) -> int:
    dut = block(StreamReader(EXTERNAL), "arvalid")
    return cycles(dut, {"start": 1}, lambda ctx: ctx.get(dut.arvalid), lambda ctx: ctx.tick())


def reader_room(block: Block, pipeline: str) -> int:
    """The only burst has come and waits; its last beat is taken, and the next burst is asked for."""
    dut = block(StreamReader(EXTERNAL), "arvalid")

    async def fill(ctx: Any) -> None:
        ctx.set(dut.start, 1)
        ctx.set(dut.arready, 1)
        await ctx.tick().repeat(3)
        ctx.set(dut.rvalid, 1)
        await ctx.tick().repeat(2)
        ctx.set(dut.rvalid, 0)
        await ctx.tick().repeat(4)
        ctx.set(dut.pop, 1)
        await ctx.tick()

    return cycles(dut, {"pop": 1}, lambda ctx: ctx.get(dut.arvalid), fill, once="pop") - READER_ASK


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


MEASURED: tuple[tuple[str, Callable[[Block, str], int]], ...] = (
    ("SETUP", setup),
    ("FIRST_ISSUE", first_issue),
    ("LAYER_DONE", layer_done),
    ("MEMORY_READ", ram_read),
    ("TABLE_READ", rom_read),
    ("TABLE_READ", row_memory_read),
    ("WEIGHT_READ", weight_read),
    ("LANES_START", lanes_start),
    ("LANE_STEP", lane_step),
    ("LANE_ADDRESS", lane_address),
    ("VECTOR_READ", vector_read),
    ("VECTOR_WRITE", vector_write),
    ("OPERAND", operand),
    ("ACCUMULATE", accumulate),
    ("MAXIMUM", maximum),
    ("TAG_TO_SELECT", tag_to_select),
    ("DRAIN_LEVEL", drain_level),
    ("RESIDUAL_PRODUCT", residual_product),
    ("REQUANTISE", requantize),
    ("SUM", biased),
    ("POST", post),
    ("WORD_QUEUE", word_queue),
    ("EGRESS_WORD", egress_word),
    ("STORE_QUEUE", store_queue),
    ("DESCRIPTOR", descriptor),
    ("SPACING", spacing),
    ("READER_ASK", reader_ask),
    ("READER_ROOM", reader_room),
    ("FIFO_HEAD", fifo_head),
    ("ROW_READY", row_ready),
    ("ROW_FREED", row_freed),
)
IDS = [measure.__name__ for _, measure in MEASURED]


#: Distances between two events at one output, which a register behind it delays alike.
DISTANCES = (lane_step, spacing)


def tabled(name: str, pipeline: str) -> int:
    """What the table says of a design with that pipeline."""
    value = LATENCIES[name]
    return value.of(pipeline) if isinstance(value, Depth) else value


@pytest.mark.parametrize("pipeline", ["short", "fast"])
@pytest.mark.parametrize(("name", "measure"), MEASURED, ids=IDS)
def test_the_table_is_what_is_measured(name: str, measure: Callable[[Block, str], int], pipeline: str) -> None:
    assert measure(lambda dut, port: dut, pipeline) == tabled(name, pipeline)


@pytest.mark.parametrize("pipeline", ["short", "fast"])
@pytest.mark.parametrize(("name", "measure"), MEASURED, ids=IDS)
def test_a_register_too_many_is_seen(name: str, measure: Callable[[Block, str], int], pipeline: str) -> None:
    if measure is drain_level:
        with pytest.raises(ValueError, match="unpack"):  # one register is half a level of the wide array
            measure(Late, pipeline)
    else:
        assert measure(Late, pipeline) == tabled(name, pipeline) + (measure not in DISTANCES)


def test_every_latency_is_measured() -> None:
    assert {name for name, _ in MEASURED} == LATENCIES.keys()
