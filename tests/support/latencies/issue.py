"""What issues list entries, and what makes addresses of them."""

from __future__ import annotations

from typing import Any

from hwprm.gateware.core.lanes import LaneAddresses
from hwprm.gateware.core.sequencer import Sequencer
from hwprm.isa import Hardware
from hwprm.isa.latencies import FIRST_ISSUE, LANE_STEP
from tests.support.hardware import hardware
from tests.support.latencies.measure import Block, Measured, cycles

__all__ = ["MEASURED"]


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


MEASURED: tuple[Measured, ...] = (
    ("SETUP", setup),
    ("FIRST_ISSUE", first_issue),
    ("LAYER_DONE", layer_done),
    ("LANES_START", lanes_start),
    ("LANE_STEP", lane_step),
    ("LANE_ADDRESS", lane_address),
)
