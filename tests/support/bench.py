"""The accelerator on Amaranth's simulator: verbs for its streams and registers, and a whole run compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from amaranth.hdl import Const
from amaranth.sim import Simulator
from numpy.typing import NDArray

from hwprm.compiler import Program
from hwprm.core.errors import MismatchError
from hwprm.gateware import Accelerator, ProcessingElement
from hwprm.intnet import reference
from hwprm.isa import register_offset
from tests.support.axi_memory import BASE, AxiMemory
from tests.support.engine import CompiledEngine
from tests.support.measures import assert_measures
from tests.support.rounds import LONG

__all__ = [
    "Run",
    "Stream",
    "axil_read",
    "axil_write",
    "check",
    "no_pause",
    "random_images",
    "random_pause",
    "rom_contents",
    "run",
    "run_checked",
    "signed_word",
    "simulate",
    "stream_get",
    "stream_put",
]

IntArray = NDArray[np.int64]
#: Cycles to wait before the next beat.
Pause = Callable[[], int]


class Stream(NamedTuple):
    """The signals of one stream of beats, whichever way it goes."""

    data: Any
    valid: Any
    ready: Any
    last: Any

    @classmethod
    def of(cls, port: Any) -> Stream:
        """Those of `port`, an AXI4-Stream or a stream inside."""
        if hasattr(port, "tdata"):
            return cls(port.tdata, port.tvalid, port.tready, port.tlast)
        return cls(port.payload.data, port.valid, port.ready, port.payload.last)


def no_pause() -> int:
    """Full speed."""
    return 0


def random_pause(seed: int, longest: int = 5, share: float = 0.4) -> Pause:
    """1 to `longest` cycles before the share `share` of the beats."""
    rng = np.random.default_rng(seed)
    return lambda: int(rng.integers(1, longest + 1)) if rng.random() < share else 0


def signed_word(value: int, bits: int) -> int:
    """`bits` bits read as two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


#: The long round asks for Amaranth's own, twice as slow.
ENGINE = "pysim" if LONG else CompiledEngine


def simulate(dut: Any, *benches: Any, background: Sequence[Any] = (), deadline: int = 100_000) -> None:
    """Run `dut` until all `benches` are done. Raises TimeoutError after `deadline` cycles: a bench that hangs fails."""

    async def watchdog(ctx: Any) -> None:
        await ctx.delay(deadline * 1e-6)
        raise TimeoutError(f"the benches were not done after {deadline} cycles")

    simulator = Simulator(dut, engine=ENGINE)
    simulator.add_clock(1e-6)
    for bench in benches:
        simulator.add_testbench(bench)
    for bench in (*background, watchdog):
        simulator.add_testbench(bench, background=True)
    simulator.run()


async def stream_put(
    ctx: Any, port: Stream, words: Sequence[int], *, last: bool = True, pause: Pause = no_pause
) -> None:
    """Send `words`, the final one with TLAST unless `last` is false; data and TLAST are noise while VALID is low."""
    for i, word in enumerate(words):
        if wait := pause():
            ctx.set(port.valid, 0)
            ctx.set(port.data, ~word & ((1 << len(port.data)) - 1))
            ctx.set(port.last, i % 2)
            await ctx.tick().repeat(wait)
        ctx.set(port.data, word & ((1 << len(port.data)) - 1))
        ctx.set(port.last, int(last and i == len(words) - 1))
        ctx.set(port.valid, 1)
        await ctx.tick().until(port.ready)
    ctx.set(port.valid, 0)


async def stream_get(ctx: Any, port: Stream, *, pause: Pause = no_pause) -> list[int]:
    """Receive beats up to and including TLAST; while READY is low the beat must stand still."""
    words = []
    while True:
        for _ in range(pause()):
            ctx.set(port.ready, 0)
            _, _, valid, data, last = await ctx.tick().sample(port.valid, port.data, port.last)
            if valid and (ctx.get(port.valid), ctx.get(port.data), ctx.get(port.last)) != (1, data, last):
                raise AssertionError("a beat that was offered changed before it was taken")
        ctx.set(port.ready, 1)
        data, last = await ctx.tick().sample(port.data, port.last).until(port.valid)
        words.append(data)
        if last:
            ctx.set(port.ready, 0)
            return words


async def axil_read(ctx: Any, bus: Any, address: int, *, wait: int = 0) -> int:
    """Read 32 bits; RREADY comes `wait` cycles after RVALID, or is up before it when `wait` is 0."""
    ctx.set(bus.rready, int(wait == 0))
    ctx.set(bus.araddr, address)
    ctx.set(bus.arvalid, 1)
    await ctx.tick().until(bus.arready)
    ctx.set(bus.arvalid, 0)
    if wait:
        while not ctx.get(bus.rvalid):
            await ctx.tick()
        await ctx.tick().repeat(wait)
        ctx.set(bus.rready, 1)
    (data,) = await ctx.tick().sample(bus.rdata).until(bus.rvalid)
    ctx.set(bus.rready, 0)
    return int(data)


async def axil_write(ctx: Any, bus: Any, address: int, data: int, *, strobe: int = 0xF) -> None:
    """Write 32 bits under the byte strobes and wait for the response."""
    for port, value in ((bus.awaddr, address), (bus.wdata, data), (bus.wstrb, strobe), (bus.bready, 1)):
        ctx.set(port, value)
    ctx.set(bus.awvalid, 1)
    ctx.set(bus.wvalid, 1)
    await ctx.tick().until(bus.awready & bus.wready)
    ctx.set(bus.awvalid, 0)
    ctx.set(bus.wvalid, 0)
    await ctx.tick().until(bus.bvalid)
    ctx.set(bus.bready, 0)


@dataclass(kw_only=True)
class Run:
    """What a simulation of the whole accelerator showed, one entry per image; of starts, one per batch."""

    #: Output words as they left.
    outputs: list[list[int]] = field(default_factory=list)
    #: {tensor: ``(C, H, W)``} of every stored layer, as the probe showed it: before pixels are repeated;
    #: -2**40 where nothing was stored.
    tensors: list[dict[str, IntArray]] = field(default_factory=list)
    #: Clock cycle of each image's first list entry.
    starts: list[int] = field(default_factory=list)
    #: Clock cycle of each layer's first slot, and cycles lost to external memory before it, over all images.
    layer_starts: list[int] = field(default_factory=list)
    layer_stalls: list[int] = field(default_factory=list)
    #: The registers at the end, by name.
    registers: dict[str, int] = field(default_factory=dict)


def rom_contents(program: Program) -> dict[str, list[int]]:
    """Words of every ROM by name, to be changed where a fault is wanted."""
    return {rom.name: rom.words() for rom in program.roms}


def random_images(program: Program, count: int, seed: int = 0) -> IntArray:
    """`count` images over the inputs' whole range."""
    low, high = program.network.image_limits
    return np.random.default_rng(seed).integers(low, high, (count, *low.shape), endpoint=True)


def run(
    program: Program,
    images: IntArray,
    *,
    contents: Mapping[str, Sequence[int]] | None = None,
    element: ProcessingElement | None = None,
    pause_in: Pause = no_pause,
    pause_out: Pause = no_pause,
    memory: AxiMemory | None = None,
    batches: Sequence[int] = (),
) -> Run:
    """Simulate `program` over `images` ``(n, C, H, W)``, or packed rows for several inputs.

    `memory` is what a program in external memory is read from. A design with batches gets as many images at a time as
    `batches` say, and FLUSH behind those that are too few; without, whole batches and the rest.
    """
    hw = program.hardware
    dut = Accelerator(hw, contents or rom_contents(program), element)
    result = Run()
    whole, rest = divmod(len(images), hw.batch)
    sizes = list(batches) or [hw.batch] * whole + [rest] * (rest > 0)
    assert sum(sizes) == len(images)
    booted = []

    async def boot(ctx: Any) -> None:
        if memory is not None:
            await axil_write(ctx, dut.s_axil, register_offset("BASE_HIGH"), BASE >> 32)
            await axil_write(ctx, dut.s_axil, register_offset("BASE"), BASE & 0xFFFFFFFF)
        booted.append(True)

    async def feed(ctx: Any) -> None:
        port = Stream.of(dut.s_axis)
        for size, end in zip(sizes, np.cumsum(sizes), strict=True):
            for image in images[end - size : end]:
                await stream_put(ctx, port, [int(v) for v in image.reshape(-1)], pause=pause_in)
            if size < hw.batch:
                while not booted or await axil_read(ctx, dut.s_axil, register_offset("FRAMES_IN")) < end:
                    await ctx.tick()
                await axil_write(ctx, dut.s_axil, register_offset("FLUSH"), 1)

    async def collect(ctx: Any) -> None:
        port = Stream.of(dut.m_axis)
        for _ in images:
            words = await stream_get(ctx, port, pause=pause_out)
            result.outputs.append([signed_word(word, 32) for word in words])
        await ctx.tick().repeat(hw.rows + 20)  # the counter stands when the next image could start
        counters = ("CYCLES", "FRAMES_IN", "FRAMES_OUT", "FRAMES_DROPPED", "STALLS", "STATUS", "MEMORY_STALLS")
        for name in (*counters, *(("BATCH",) if hw.batch > 1 else ())):
            result.registers[name] = await axil_read(ctx, dut.s_axil, register_offset(name))

    batch: list[dict[str, IntArray]] = []  # tensors of the images under way, those that never came among them

    async def watch(ctx: Any) -> None:
        probe = (dut.probe_layer, dut.probe_filter, dut.probe_pixel, dut.probe_lanes, dut.probe_data)
        time = stalls = 0
        starting = (dut.probe_frame_start, dut.probe_layer_start, getattr(dut, "probe_memory_stall", Const(0)))
        samples = ctx.tick().sample(*starting, dut.probe_valid, *probe)
        async for _, _, start, layer_start, stall, valid, *vector in samples:
            time += 1
            if layer_start:
                result.layer_starts.append(time)
                result.layer_stalls.append(stalls)
            stalls += stall
            if start:
                batch[:] = [_blank(program) for _ in range(hw.batch)]
                result.tensors += batch[: sizes[len(result.starts)] if len(result.starts) < len(sizes) else 1]
                result.starts.append(time)
            if valid:
                _place(program, batch, *vector)

    deadline = 2000 + 50 * len(images) * (program.cycles.total + hw.input_beats + hw.output_words)
    background = [watch]
    if memory is not None:
        background.append(memory.bench(dut.m_axi))
        deadline += 60 * len(images) * memory.external.bursts * memory.external.burst_beats
    simulate(dut, boot, feed, collect, background=background, deadline=deadline)
    return result


def _blank(program: Program) -> dict[str, IntArray]:
    blank = {}
    for geo in program.geometry:
        if not geo.layer.wide:
            channels, height, width = program.network.tensor[geo.layer.name].shape
            computed = (channels, height // geo.repeats[0], width // geo.repeats[1])
            blank[geo.layer.name] = np.full(computed, -(1 << 40))
    return blank


def _place(
    program: Program, batch: Sequence[dict[str, IntArray]], layer: int, filt: int, pixel: int, lanes: int, data: int
) -> None:
    bits = program.hardware.act_bits
    geo, name = program.geometry[layer], program.layers[layer]
    channel, phase = divmod(filt, geo.phases)
    for lane in range(lanes):
        place, word = divmod(pixel + lane, geo.pixels), data >> (lane * bits) & (1 << bits) - 1
        if geo.channel_lanes:  # of every channel all images
            place = divmod(pixel + lane, len(batch))[::-1]
        image, inside = place
        value = signed_word(word, bits) if program.network.tensor[name].signed else word
        batch[image][name].reshape(-1)[(channel * geo.pixels + inside) * geo.phases + phase] = value


def check(program: Program, images: IntArray, result: Run) -> None:
    """Raise MismatchError at the first integer, or cycle, that is not what reference and cycle model say."""
    net = program.network
    want = reference.run(net, images)
    steps = {geo.layer.name: geo.repeats for geo in program.geometry}
    for i in range(len(images)):
        for name in program.layers:
            if name in net.outputs:
                continue
            if i >= len(result.tensors):
                raise MismatchError(f"image {i}, tensor {name!r}: the probe showed nothing")
            below, beside = steps[name]
            _compare(f"image {i}, tensor {name!r}", want[name][i][:, ::below, ::beside], result.tensors[i][name])
        words = np.concatenate([want[name][i].reshape(-1) for name in program.layers if name in net.outputs])
        _compare(f"image {i}, output words", words, np.array(result.outputs[i]))
    assert len(result.tensors) == len(images)
    compute = result.registers["CYCLES"] - result.registers["MEMORY_STALLS"]
    _compare("cycle register", np.array(program.cycles.total), np.array(compute))
    counts = (len(images), len(images), 0)
    got = tuple(result.registers[name] for name in ("FRAMES_IN", "FRAMES_OUT", "FRAMES_DROPPED"))
    _compare("frame counters", np.array(counts), np.array(got))


def _compare(what: str, expected: IntArray, got: IntArray) -> None:
    if expected.shape != got.shape:
        raise MismatchError(f"{what}: expected {expected.shape} values, got {got.shape}")
    wrong = np.argwhere(expected != got)
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        raise MismatchError(f"{what}{list(at)}: expected {int(expected[at])}, got {int(got[at])}; {len(wrong)} differ")


def run_checked(program: Program, images: IntArray, **options: Any) -> Run:
    """`run`, then `check`; what the cycles are measured against is looked at as well."""
    assert_measures(program.cycles)
    result = run(program, images, **options)
    check(program, images, result)
    return result
