"""The blocks between external memory and the array, each alone: reader, FIFO, unpacker, ring."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from hwprm.gateware.external.reader import StreamReader
from hwprm.gateware.external.unpacker import Unpacker
from hwprm.gateware.memory.beat_fifo import BeatFifo
from hwprm.gateware.memory.ring import Ring
from hwprm.gateware.memory.row_memory import RowMemory
from hwprm.isa import HEADER, TARGETS, ExternalMemory, RowShape
from tests.support.axi_memory import BASE, AxiMemory, random_delays
from tests.support.bench import simulate


def packed(words: list[int], width: int, beat_bits: int) -> list[int]:
    """Beats that hold `words`, the last row filled up with zeros."""
    shape = RowShape.of(width, beat_bits)
    words = words + [0] * (-len(words) % shape.words)
    slot = beat_bits // shape.words
    if shape.beats == 1:
        rows = [words[i : i + shape.words] for i in range(0, len(words), shape.words)]
        return [sum(word << (i * slot) for i, word in enumerate(row)) for row in rows]
    mask = (1 << beat_bits) - 1
    return [word >> (i * beat_bits) & mask for word in words for i in range(shape.beats)]


@pytest.mark.parametrize("width", [8, 20, 64, 150], ids=lambda width: f"{width}-bits")
def test_row_memory_reads_back_what_beats_brought(width):
    rng = np.random.default_rng(width)
    words = [int.from_bytes(rng.bytes(24), "little") % (1 << width) for _ in range(11)]
    dut = RowMemory(width=width, depth=len(words), beat_bits=64)

    async def bench(ctx):
        for beat in packed(words, width, 64):
            ctx.set(dut.beat, beat)
            ctx.set(dut.push, 1)
            await ctx.tick()
        ctx.set(dut.push, 0)
        assert ctx.get(dut.written) == RowShape.of(width, 64).rows(len(words))
        for i, word in enumerate(words):
            ctx.set(dut.addr, i)
            await ctx.tick()
            assert ctx.get(dut.data) == word

    simulate(dut, bench, deadline=200)


@pytest.mark.parametrize(("width", "read_delay"), [(20, 0), (64, 3), (100, 3), (12, 1)])
def test_ring_hands_out_runs_as_often_as_they_are_used(width, read_delay):
    """Random arrivals and uses, runs of many lengths: words in order, none before it is there, none overwritten."""
    rng = np.random.default_rng(width)
    shape = RowShape.of(width, 64)
    rows = 4
    runs = []
    for _ in range(25):
        uses = int(rng.integers(1, 4))
        longest = rows * shape.words if uses > 1 else 3 * rows * shape.words
        length = int(rng.integers(1, longest + 1))
        runs.append((uses, [int.from_bytes(rng.bytes(16), "little") % (1 << width) for _ in range(length)]))
    beats = deque(beat for _, words in runs for beat in packed(words, width, 64))
    wanted = [word for uses, words in runs for _ in range(uses) for word in words]
    dut = Ring(width=width, rows=rows, beat_bits=64, read_delay=read_delay)
    full = False

    async def feed(ctx):
        nonlocal full
        while True:
            ready = ctx.get(dut.room)
            full |= not ready
            push = bool(beats) and ready and rng.random() < 0.7
            ctx.set(dut.push, int(push))
            if push:
                ctx.set(dut.beat, beats.popleft())
            await ctx.tick()

    async def use(ctx):
        got: list[int] = []
        due: deque[bool] = deque([False] * read_delay)

        async def cycle(step):
            ctx.set(dut.step, int(step))
            due.append(step)
            await ctx.tick()
            if due.popleft():
                got.append(ctx.get(dut.data))

        for uses, words in runs:
            for turn in range(uses):
                for i in range(len(words)):
                    while not ctx.get(dut.ready) or rng.random() < 0.3:
                        await cycle(False)
                    ctx.set(dut.ends, int(i == len(words) - 1))
                    ctx.set(dut.release, int(turn == uses - 1))
                    await cycle(True)
        for _ in range(read_delay):
            await cycle(False)
        assert got == wanted
        assert not ctx.get(dut.ready)

    simulate(dut, use, background=[feed], deadline=20_000)
    assert full
    assert not beats


def test_fifo_keeps_order_and_count():
    rng = np.random.default_rng(1)
    dut = BeatFifo(width=16, depth=8)
    sent: deque[int] = deque()
    held = 0

    async def bench(ctx):
        nonlocal held
        for number in range(1, 400):
            eager = number % 100 < 50
            write = held < 8 and rng.random() < (0.9 if eager else 0.3)
            pop = ctx.get(dut.valid) and rng.random() < (0.3 if eager else 0.9)
            if pop:
                assert ctx.get(dut.data) == sent.popleft()
            if write:
                sent.append(number)
            ctx.set(dut.write, int(write))
            ctx.set(dut.write_data, number)
            ctx.set(dut.pop, int(pop))
            held += int(write) - int(pop)
            await ctx.tick()

    simulate(dut, bench, deadline=1000)


def test_unpacker_follows_headers():
    """Beats go where headers say; a full ring holds up everything behind; padding ends the loading."""
    dut = Unpacker(64)
    plan = [("tiles", 3, 0), ("params", 1, 0), ("entries", 0, 0), ("entries", 2, 3), ("entries", 0, 1)]
    stream, expected = [], []
    for number, (target, count, weights) in enumerate(plan):
        fields = {"target": TARGETS.index(target), "count": count, "weights": weights}
        stream.append((HEADER.encode(fields), None))
        run = [target] * count + ["weights"] * weights
        stream += [(1000 * number + i, name) for i, name in enumerate(run)]
    expected = [(beat, name) for beat, name in stream if name]
    rng = np.random.default_rng(2)
    got, loaded = [], []

    async def bench(ctx):
        names = (*TARGETS, "weights")
        for beat, name in stream:
            while True:
                rooms = {ring: bool(rng.random() < 0.5) for ring in ("entries", "weights")}
                for ring, room in rooms.items():
                    ctx.set(getattr(dut, f"room_{ring}"), int(room))
                ctx.set(dut.valid, int(rng.random() < 0.7))
                ctx.set(dut.beat, beat)
                pushed = [target for target in names if ctx.get(getattr(dut, f"push_{target}"))]
                popped = ctx.get(dut.pop)
                assert len(pushed) == (popped if name else 0)
                assert all(rooms.get(target, True) for target in pushed)
                got.extend((beat, target) for target in pushed)
                await ctx.tick()
                if popped:
                    loaded.append(ctx.get(dut.loaded))
                    break
        ctx.set(dut.valid, 0)

    simulate(dut, bench, deadline=1000)
    assert got == expected
    assert loaded == [0] * 6 + [1] * (len(stream) - 6)


def test_reader_asks_for_bursts_it_has_room_for():
    """Addresses wait, beats come when they like, the reader is read slowly: every beat once, in order, wrapping."""
    ext = ExternalMemory(
        beat_bits=64,
        burst_beats=4,
        outstanding=2,
        entry_rows=2,
        weight_rows=2,
        chunk=1,
        boot_bursts=2,
        bursts=5,
    )
    image = np.random.default_rng(3).integers(0, 256, (20, 8), dtype=np.uint8)
    words = [int.from_bytes(row.tobytes(), "little") for row in image]
    expected = words + 2 * words[8:]
    dut = StreamReader(ext)
    memory = AxiMemory(image, ext, delays=random_delays(4, longest=6))
    rng = np.random.default_rng(5)

    async def bench(ctx):
        await ctx.tick().repeat(20)
        assert memory.bursts == []
        ctx.set(dut.base, BASE)
        ctx.set(dut.start, 1)
        got: list[int] = []
        while len(got) < len(expected):
            pop = ctx.get(dut.valid) and rng.random() < 0.6
            if pop:
                got.append(ctx.get(dut.beat))
            ctx.set(dut.pop, int(pop))
            await ctx.tick()
        assert got == expected

    simulate(dut, bench, background=[memory.bench(dut.bus)], deadline=2000)


def test_reader_stops_at_an_error():
    ext = ExternalMemory(
        beat_bits=64, burst_beats=2, outstanding=4, entry_rows=2, weight_rows=2, chunk=1, boot_bursts=1, bursts=9
    )
    dut = StreamReader(ext)
    memory = AxiMemory(np.ones((18, 8), np.uint8), ext, bad_beat=5)

    async def bench(ctx):
        ctx.set(dut.base, BASE)
        ctx.set(dut.start, 1)
        got = 0
        for _ in range(200):
            pop = ctx.get(dut.valid)
            got += pop
            ctx.set(dut.pop, pop)
            await ctx.tick()
        assert ctx.get(dut.error) == 1
        assert got <= 5
        assert len(memory.bursts) < 9

    simulate(dut, bench, background=[memory.bench(dut.bus)], deadline=2000)
