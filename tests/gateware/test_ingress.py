"""The image's way in: places, buffers, and images of every wrong length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from hwprm.gateware.host.ingress import Ingress
from hwprm.isa import Hardware
from tests.support.bench import Stream, simulate, stream_put
from tests.support.hardware import hardware, inputs


class _Bench:
    """An ingress with a memory behind it that grants `share` of the cycles."""

    def __init__(self, hw: Hardware, *, share: float = 1.0, checked: bool = False):
        self.hw, self.dut = hw, Ingress(hw, checked=checked)
        self.port = Stream.of(self.dut.stream)
        self.memory: dict[int, int] = {}
        self.events: list[str] = []
        self._rng, self._share = np.random.default_rng(0), share

    async def grant(self, ctx: Any) -> None:
        while True:
            ctx.set(self.dut.grant, ctx.get(self.dut.write) and self._rng.random() < self._share)
            await ctx.tick()

    async def watch(self, ctx: Any) -> None:
        dut = self.dut
        ports = (dut.write & dut.grant, dut.write_at, dut.write_data, dut.received, dut.short, dut.long)
        async for _, _, write, at, data, *pulses in ctx.tick().sample(*ports):
            if write:
                self.memory[at.word * self.hw.banks + at.bank] = data
            self.events += [n for n, pulse in zip(("received", "short", "long"), pulses, strict=True) if pulse]

    def image(self, buffer: int) -> np.ndarray:
        """What lies in `buffer`, low bits of each activation, in the order of the stream ``(beats,)``."""
        parts = []
        for part in self.hw.inputs:
            channels, height, width = part.shape
            c, y, x = np.ogrid[:channels, :height, :width]
            channel = height * part.pitch if height > 1 else width
            base = (part.base + buffer * self.hw.input_words) * self.hw.banks
            parts.append((base + c * channel + y * part.pitch + x).reshape(-1))
        return np.array([self.memory.get(int(at), -1) for at in np.concatenate(parts)])

    async def put(self, ctx: Any, words: np.ndarray, **options: Any) -> None:
        await stream_put(ctx, self.port, [int(v) for v in words.reshape(-1)], **options)

    async def taken(self, ctx: Any) -> None:
        """Wait for an image to be ready and release it."""
        await ctx.tick().until(self.dut.image_ready)
        ctx.set(self.dut.release, 1)
        await ctx.tick()
        ctx.set(self.dut.release, 0)

    def run(self, bench: Callable[[Any], Any], dut: Any = None) -> None:
        simulate(dut or self.dut, bench, background=[self.grant, self.watch], deadline=3000)


def _hardware(*parts: tuple[tuple[int, int, int], int]) -> Hardware:
    """For inputs of the given (shape, pitch); 24 beats unless given."""
    return hardware(rows=3, inputs=inputs(3, *(parts or [((2, 3, 4), 5)]), base=2), memory_words=60)


def _images(hw: Hardware, count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, hw.input_beats))


#: The same number of beats in two and three inputs.
PARTS = {
    "one": [((2, 3, 4), 5)],
    "two": [((1, 3, 5), 7), ((9, 1, 1), 1)],
    "three": [((1, 1, 1), 1), ((2, 3, 3), 4), ((1, 1, 5), 8)],
}


@pytest.mark.parametrize("share", [1.0, 0.4], ids=["free", "contended"])
@pytest.mark.parametrize(
    "parts",
    [
        *([part] for part in (((2, 3, 4), 5), ((1, 4, 4), 4), ((3, 1, 5), 8), ((1, 1, 1), 1), ((2, 5, 1), 4))),
        PARTS["two"],
        PARTS["three"],
        [((1, 1, 1), 1), ((1, 1, 1), 1)],
        [((3, 1, 1), 1), ((1, 2, 2), 4), ((1, 2, 2), 2), ((2, 2, 1), 2)],
    ],
    ids=str,
)
def test_back_to_back_images(parts, share):
    bench = _Bench(_hardware(*parts), share=share)
    images = _images(bench.hw, 5)

    async def run(ctx):
        for i, image in enumerate(images):
            await bench.put(ctx, image)
            await ctx.tick().until(bench.dut.image_ready)
            assert ctx.get(bench.dut.buffer) == i % 2
            assert np.array_equal(bench.image(i % 2), image)
            await bench.taken(ctx)

    bench.run(run)
    assert bench.events == ["received"] * 5


@pytest.mark.parametrize("banks", [1, 2, 4, 5, 8, 11])
def test_rows_of_every_width_and_gap(banks):
    """A step to the right or past a gap carries into the word from other banks for each number of banks."""
    for width, gap in [(1, 1), (1, 4), (2, 0), (2, 3), (3, 9), (4, 10), (7, 2)]:
        parts = inputs(banks, ((2, 5, width), width + gap), base=3)
        bench = _Bench(hardware(banks=banks, inputs=parts, memory_words=512))
        images = _images(bench.hw, 2)

        async def run(ctx, bench=bench, images=images):
            for i, image in enumerate(images):
                await bench.put(ctx, image)
                await bench.taken(ctx)
                assert np.array_equal(bench.image(i), image)

        bench.run(run)
        assert bench.events == ["received"] * 2


def test_two_images_wait_a_third_does_not_enter():
    bench = _Bench(_hardware())
    images = _images(bench.hw, 3)

    async def run(ctx):
        await bench.put(ctx, images[0])
        await bench.put(ctx, images[1])
        ctx.set(bench.dut.stream.valid, 1)
        for _ in range(20):
            await ctx.tick()
            assert not ctx.get(bench.dut.stream.ready)
        ctx.set(bench.dut.stream.valid, 0)
        assert [np.array_equal(bench.image(b), images[b]) for b in (0, 1)] == [True, True]
        await bench.taken(ctx)
        await bench.put(ctx, images[2])
        await bench.taken(ctx)
        await ctx.tick().until(bench.dut.image_ready)
        assert np.array_equal(bench.image(0), images[2])

    bench.run(run)
    assert bench.events == ["received"] * 3


@pytest.mark.parametrize(
    ("length", "event"),
    [(1, "short"), (15, "short"), (23, "short"), (25, "long"), (26, "long"), (70, "long")],
    ids=["one-beat", "first-input", "one-short", "one-long", "two-long", "three-images-long"],
)
@pytest.mark.parametrize("before", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_wrong_length_then_right(length, event, before, parts):
    bench = _Bench(_hardware(*parts), share=0.6)
    images = _images(bench.hw, 3)

    async def run(ctx):
        if before:
            await bench.put(ctx, images[0])
        await bench.put(ctx, np.arange(length))
        await bench.put(ctx, images[1])
        await ctx.tick().repeat(10)
        if before:
            assert np.array_equal(bench.image(0), images[0])
            await bench.taken(ctx)
        assert ctx.get(bench.dut.image_ready)
        assert np.array_equal(bench.image(before), images[1])

    bench.run(run)
    assert bench.events == ["received"] * before + [event, "received"]


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_wrong_images_in_a_row(parts):
    bench = _Bench(_hardware(*parts))
    images = _images(bench.hw, 1)

    async def run(ctx):
        for length in (3, 30, 1, 25, 23):
            await bench.put(ctx, np.arange(length))
        await bench.put(ctx, images[0])
        await ctx.tick().repeat(5)
        assert np.array_equal(bench.image(0), images[0])

    bench.run(run)
    assert bench.events == ["short", "long", "short", "long", "short", "received"]


@pytest.mark.parametrize("beats", [0, 1, 10, 24, 30])
def test_reset_in_mid_image(beats):
    bench = _Bench(_hardware())
    image, reset = _images(bench.hw, 1)[0], Signal()

    async def run(ctx):
        if beats:
            await bench.put(ctx, np.arange(beats), last=False)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        bench.events.clear()
        await bench.put(ctx, image)
        await ctx.tick().until(bench.dut.image_ready)
        assert np.array_equal(bench.image(0), image)

    bench.run(run, ResetInserter(reset)(bench.dut))
    assert bench.events == ["received"]


def test_upper_bits_of_the_beat_are_dropped():
    """A 5-bit activation comes sign-extended to a byte."""
    hw = hardware(act_bits=5, inputs=inputs(3, ((1, 1, 2), 2)))
    bench = _Bench(hw)

    async def run(ctx):
        await bench.put(ctx, np.array([0xFF, 0x0A]))
        await ctx.tick().until(bench.dut.image_ready)
        assert bench.image(0).reshape(-1).tolist() == [0x1F, 0x0A]

    bench.run(run)


def test_an_image_that_ends_badly_is_dropped():
    """Whatever its length: the next one takes its place, and is whole."""
    hw = hardware()
    bench = _Bench(hw, checked=True)
    image = np.arange(hw.input_beats) % 100
    rest = bench.dut.stream.payload.bad

    async def feed(ctx: Any) -> None:
        for length in (1, hw.input_beats - 1, hw.input_beats):
            if length > 1:
                await bench.put(ctx, image[: length - 1] + 1, last=False)
            ctx.set(rest, 1)
            await bench.put(ctx, image[length - 1 : length])
            ctx.set(rest, 0)
        await bench.put(ctx, image)
        await bench.taken(ctx)

    simulate(bench.dut, feed, background=[bench.grant, bench.watch])
    assert bench.events == ["short", "short", "short", "received"]
    assert np.array_equal(bench.image(0), image)
