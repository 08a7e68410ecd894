"""The accelerator and its host: gaps, back-pressure, images of the wrong length, reset, registers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from hwprm.compiler import Program
from hwprm.gateware import Accelerator
from hwprm.intnet import Term, reference
from hwprm.isa import register_offset
from tests.support.bench import (
    Stream,
    axil_read,
    axil_write,
    random_images,
    random_pause,
    rom_contents,
    run,
    run_checked,
    signed_word,
    simulate,
    stream_get,
    stream_put,
)
from tests.support.networks import SEVERAL_INPUTS, Spec, compiled, network, seeded_weights, small_lenet


def test_input_gaps_change_nothing():
    program = compiled(small_lenet(), 4, 3)
    run_checked(program, random_images(program, 2), pause_in=random_pause(5))


def test_output_back_pressure_leaves_the_cycle_counter():
    """Three results back up behind a reader slower than the array: it must wait, and not count the wait."""
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=seeded_weights(2, 1, 1, 1)),)),
        Spec(name="b", terms=(Term(source="a", weight=seeded_weights(4, 2, 1, 1)),), wide=True),
    )
    program = compiled(network((1, 3, 3), layers), 3, 4)
    images = random_images(program, 5)
    slow = run_checked(program, images, pause_out=lambda: 12)
    assert slow.registers["STALLS"] > 0
    assert max(np.diff(slow.starts)) > program.cycles.total


class _Hand:
    """The accelerator driven by hand."""

    def __init__(self, program: Program):
        self.program = program
        self.dut = Accelerator(program.hardware, rom_contents(program))
        d = self.dut
        self.image_in = Stream.of(d.s_axis)
        self.words_out = Stream.of(d.m_axis)

    async def put(self, ctx, words, **options):
        await stream_put(ctx, self.image_in, [int(v) for v in words], **options)

    async def get(self, ctx):
        return [signed_word(word, 32) for word in await stream_get(ctx, self.words_out)]

    async def read(self, ctx, name):
        return await axil_read(ctx, self.dut.s_axil, register_offset(name))

    async def write(self, ctx, name, value):
        await axil_write(ctx, self.dut.s_axil, register_offset(name), value)

    def expected(self, image):
        return _words(self.program, image)


def _words(program: Program, image: np.ndarray) -> list[int]:
    tensors = reference.run(program.network, image[None])
    return np.concatenate([tensors[name].reshape(-1) for name in program.network.outputs]).tolist()


def _tiny() -> Program:
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=seeded_weights(2, 1, 2, 2)),)),
        Spec(name="b", terms=(Term(source="a", weight=seeded_weights(3, 2, 2, 3)),), wide=True),
    )
    return compiled(network((1, 3, 4), layers), 2, 2)


@pytest.mark.parametrize(
    ("wrong", "status"), [(5, 0b010), (11, 0b010), (13, 0b100), (40, 0b100)], ids=["short", "by-one", "late", "long"]
)
def test_image_of_wrong_length(wrong, status):
    _assert_dropped(_tiny(), wrong, status)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [(1, 0b010), (30, 0b010), (31, 0b010), (36, 0b010), (38, 0b100), (74, 0b100), (80, 0b100)],
    ids=["one", "first-input", "into-the-second", "by-one", "late", "twice", "long"],
)
def test_image_of_wrong_length_in_two_inputs(wrong, status):
    _assert_dropped(compiled(SEVERAL_INPUTS["map-and-vector"](), 3, 4), wrong, status)


def _assert_dropped(program: Program, wrong: int, status: int) -> None:
    """An image of `wrong` beats is dropped and flagged, and the next one is right."""
    hand = _Hand(program)
    good = random_images(program, 2)

    async def bench(ctx):
        await hand.put(ctx, good[0].reshape(-1))
        await hand.put(ctx, range(wrong))
        await hand.put(ctx, good[1].reshape(-1))
        for image in good:
            assert await hand.get(ctx) == hand.expected(image)
        assert await hand.read(ctx, "STATUS") & 0b110 == status
        assert await hand.read(ctx, "FRAMES_DROPPED") == 1
        assert await hand.read(ctx, "FRAMES_IN") == 2
        await hand.write(ctx, "STATUS", status)
        assert await hand.read(ctx, "STATUS") & 0b110 == 0

    simulate(hand.dut, bench, deadline=5000)


def test_run_bit_holds_the_next_image():
    program = _tiny()
    hand = _Hand(program)
    image = random_images(program, 1)[0]

    async def bench(ctx):
        await hand.write(ctx, "CONTROL", 0)
        await hand.put(ctx, image.reshape(-1))
        await ctx.tick().repeat(5 * program.cycles.total)
        assert await hand.read(ctx, "FRAMES_OUT") == 0
        assert await hand.read(ctx, "STATUS") & 1 == 0
        await hand.write(ctx, "CONTROL", 1)
        assert await hand.get(ctx) == hand.expected(image)
        await ctx.tick().repeat(20)
        assert await hand.read(ctx, "CYCLES") == program.cycles.total

    simulate(hand.dut, bench, deadline=5000)


def test_repeat_bit_computes_one_image_over_and_over():
    """At the same cycles as ever, and without another image."""
    program = _tiny()
    hand = _Hand(program)
    image = random_images(program, 1)[0]

    async def bench(ctx):
        await hand.write(ctx, "CONTROL", 0b10)
        await hand.put(ctx, image.reshape(-1))
        await ctx.tick().repeat(3 * program.cycles.total)
        assert await hand.read(ctx, "FRAMES_OUT") == 0, "the run bit is 0"
        await hand.write(ctx, "CONTROL", 0b11)
        for _ in range(3):
            assert await hand.get(ctx) == hand.expected(image)
        assert await hand.read(ctx, "CYCLES") == program.cycles.total
        assert await hand.read(ctx, "FRAMES_IN") == 1

    simulate(hand.dut, bench, deadline=5000)


@pytest.mark.parametrize("when", [0, 3, 12, 20, 45, 90], ids=lambda w: f"cycle-{w}")
def test_reset_in_mid_image(when):
    """Reset at any moment, then the first beat right after it."""
    program = _tiny()
    hand = _Hand(program)
    reset = Signal()
    image = random_images(program, 1)[0]
    half = image.reshape(-1)[:7]

    async def bench(ctx):
        if when >= 12:
            await hand.put(ctx, image.reshape(-1))
            await hand.put(ctx, half, last=False)
            if when > 12:
                await ctx.tick().repeat(when - 12)
        else:
            await hand.put(ctx, half[:when], last=False)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        await hand.put(ctx, image.reshape(-1))
        assert await hand.get(ctx) == hand.expected(image)
        assert await hand.read(ctx, "FRAMES_IN") == 1
        await ctx.tick().repeat(20)
        assert await hand.read(ctx, "CYCLES") == program.cycles.total

    simulate(ResetInserter(reset)(hand.dut), bench, deadline=5000)


def test_first_beats_after_reset_with_everything_waiting():
    """Images stream in without a pause while nobody takes the words: two are held, a third is computed and kept."""
    program = _tiny()
    images = random_images(program, 6)
    result = run(program, images, pause_out=random_pause(3, 60, 0.9))
    assert result.outputs == [_words(program, image) for image in images]


def test_registers_tell_the_design():
    program = _tiny()
    hand = _Hand(program)

    async def bench(ctx):
        digest = [await hand.read(ctx, f"HASH{i}") for i in range(8)]
        assert sum(word << 32 * i for i, word in enumerate(digest)) == int(program.design_hash, 16)
        assert await hand.read(ctx, "INPUT_BEATS") == 12
        assert await hand.read(ctx, "OUTPUT_BEATS") == 3

    simulate(hand.dut, bench, deadline=1000)


def test_missing_design_hash_reads_zero():
    program = _tiny()
    dut = Accelerator(replace(program.hardware, design_hash=""), rom_contents(program))

    async def bench(ctx):
        assert await axil_read(ctx, dut.s_axil, register_offset("HASH0")) == 0

    simulate(dut, bench, deadline=1000)
