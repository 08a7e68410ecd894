"""What becomes of a sum: requantised, looked up, stored, sent."""

from __future__ import annotations

from typing import Any

from hwprm.gateware.core.pixel_tiles import PixelTiles
from hwprm.gateware.core.posts import Posts
from hwprm.gateware.core.requantiser import Requantiser
from hwprm.gateware.core.store import StoreUnit
from hwprm.gateware.core.word_queue import WordQueue
from hwprm.gateware.host.egress import Egress
from hwprm.isa.latencies import REQUANTISE
from tests.support.bench import simulate
from tests.support.hardware import hardware
from tests.support.latencies.measure import Block, Measured, cycles

__all__ = ["MEASURED"]


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


MEASURED: tuple[Measured, ...] = (
    ("RESIDUAL_PRODUCT", residual_product),
    ("REQUANTISE", requantize),
    ("SUM", biased),
    ("POST", post),
    ("WORD_QUEUE", word_queue),
    ("EGRESS_WORD", egress_word),
    ("STORE_QUEUE", store_queue),
    ("DESCRIPTOR", descriptor),
    ("SPACING", spacing),
)
