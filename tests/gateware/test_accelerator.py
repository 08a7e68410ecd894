"""The whole accelerator, image in, words out: every tensor, every output word and the cycle counter, exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from hwprm.compile import Program, compile_network
from hwprm.config import ArrayConfig
from hwprm.gateware import Accelerator
from hwprm.intnet import IntegerNetwork, Pool, Term
from hwprm.isa import register_offset
from hwprm.verify import reference
from tests.support.bench import (
    Stream,
    axil_read,
    axil_write,
    random_images,
    rom_contents,
    run,
    run_checked,
    signed_word,
    simulate,
    stream_get,
    stream_put,
)
from tests.support.networks import Spec, network, small_lenet, weights
from tests.support.random_networks import random_network


def _compiled(net: IntegerNetwork, rows: int, cols: int, **options: int) -> Program:
    return compile_network(net, ArrayConfig(rows=rows, cols=cols, **options))


def _pauses(seed: int, longest: int = 5, share: float = 0.4):
    """A random pause before a beat."""
    rng = np.random.default_rng(seed)
    return lambda: int(rng.integers(1, longest + 1)) if rng.random() < share else 0


def _single(term: Term, pool: Pool | None = None, *, shape: tuple[int, int, int], bits: tuple[int, int] = (8, 8)):
    """`term` over the image, then a 1 x 1 layer whose every pixel leaves."""
    rng = np.random.default_rng(3)
    filters = term.weight.shape[0]
    last = Term(source="a", weight=weights(rng, (2, filters, 1, 1), bits=bits[0]))
    layers = (Spec(name="a", terms=(term,), pool=pool), Spec(name="b", terms=(last,), wide=True))
    return network(shape, layers, weight_bits=bits[0], act_bits=bits[1])


def _weight(*shape: int, bits: int = 8) -> np.ndarray:
    return weights(np.random.default_rng(sum(shape)), shape, bits=bits)


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (1, 5), (5, 1), (2, 3), (4, 4), (7, 2)], ids=str)
def test_lenet_on_any_array(rows, cols):
    program = _compiled(small_lenet(), rows, cols)
    images = random_images(program, 1 if rows * cols == 1 else 2)
    result = run_checked(program, images)
    assert np.diff(result.starts).tolist() == [program.cycles.total] * (len(images) - 1)
    assert result.registers["STALLS"] == 0


CASES = {
    "stride": (Term(source="image", weight=_weight(3, 2, 3, 2), stride=(2, 3)), None, (2, 8, 9)),
    "asymmetric-padding": (Term(source="image", weight=_weight(3, 1, 3, 3), padding=(0, 2, 1, 0)), None, (1, 5, 4)),
    "padding-wider-than-map": (Term(source="image", weight=_weight(2, 1, 3, 3), padding=(2, 2, 2, 2)), None, (1, 2, 1)),
    "dilation": (Term(source="image", weight=_weight(2, 2, 2, 3), dilation=(3, 2)), None, (2, 7, 8)),
    "groups": (Term(source="image", weight=_weight(6, 2, 2, 2), groups=3), None, (6, 4, 4)),
    "depthwise": (Term(source="image", weight=_weight(5, 1, 3, 3), groups=5, padding=(1, 1, 1, 1)), None, (5, 4, 3)),
    "pool-3x3-stride-2": (
        Term(source="image", weight=_weight(3, 1, 2, 2)), Pool(kernel=(3, 3), stride=(2, 2)), (1, 8, 8)
    ),
    "pool-padded": (
        Term(source="image", weight=_weight(3, 1, 2, 2)),
        Pool(kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
        (1, 7, 6),
    ),
    "pool-ceil": (
        Term(source="image", weight=_weight(2, 1, 1, 1)), Pool(kernel=(2, 3), stride=(2, 2), ceil_mode=True), (1, 5, 6)
    ),
    "pool-dilated": (
        Term(source="image", weight=_weight(2, 1, 2, 2)), Pool(kernel=(2, 2), stride=(1, 1), dilation=(2, 3)), (1, 6, 7)
    ),
    "one-row": (Term(source="image", weight=_weight(3, 2, 1, 3)), None, (2, 1, 9)),
    "one-column": (Term(source="image", weight=_weight(3, 1, 1, 1)), None, (1, 3, 1)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_operator(case):
    term, pool, shape = CASES[case]
    program = _compiled(_single(term, pool, shape=shape), 4, 2)
    run_checked(program, random_images(program, 2))


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
def test_multiplier_stages(stages):
    term = Term(source="image", weight=_weight(3, 1, 2, 2))
    program = _compiled(
        _single(term, Pool(kernel=(2, 2), stride=(2, 2)), shape=(1, 5, 5)), 3, 2, multiplier_stages=stages
    )
    run_checked(program, random_images(program, 2))


@pytest.mark.parametrize("bits", [(2, 2), (2, 16), (16, 2), (5, 9), (16, 16)], ids=lambda b: f"w{b[0]}-a{b[1]}")
def test_bit_widths(bits):
    net = _single(Term(source="image", weight=_weight(3, 2, 2, 2, bits=bits[0])), shape=(2, 4, 4), bits=bits)
    program = _compiled(net, 3, 2)
    assert program.hardware.data_bytes == -(-bits[1] // 8)
    run_checked(program, random_images(program, 2))


def test_accumulator_wider_than_needed():
    net = _single(Term(source="image", weight=_weight(2, 1, 2, 2)), shape=(1, 4, 4))
    program = _compiled(net, 2, 2, acc_bits=46)
    assert program.hardware.acc_bits == 46
    run_checked(program, random_images(program, 1))


def residual() -> IntegerNetwork:
    """A sum of two tensors, a tensor read by three layers, and two outputs, one of them a map."""
    diagonal = np.eye(3, dtype=np.int64).reshape(3, 3, 1, 1) * 90
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=_weight(3, 2, 3, 3), padding=(1, 1, 1, 1)),)),
        Spec(name="b", terms=(Term(source="a", weight=_weight(3, 3, 3, 3), padding=(1, 1, 1, 1)),), relu=False),
        Spec(
            name="sum",
            terms=(
                Term(source="b", weight=_weight(3, 3, 1, 3), padding=(0, 0, 1, 1)),
                Term(source="a", weight=diagonal),
            ),
        ),
        Spec(name="map", terms=(Term(source="sum", weight=_weight(2, 3, 2, 2)),), wide=True),
        Spec(name="c", terms=(Term(source="a", weight=_weight(2, 3, 3, 2), stride=(2, 1)),)),
        Spec(name="logits", terms=(Term(source="c", weight=_weight(5, 2, 1, 4)),), wide=True),
    )
    return network((2, 4, 5), layers)


@pytest.mark.parametrize(("rows", "cols"), [(3, 2), (4, 4)], ids=str)
def test_residual_sum_shared_tensor_two_outputs(rows, cols):
    program = _compiled(residual(), rows, cols)
    assert program.network.outputs == ("map", "logits")
    run_checked(program, random_images(program, 3))


def test_single_layer_network():
    """The layer that needs an image is also the one that needs room for words."""
    layers = (Spec(name="only", terms=(Term(source="image", weight=_weight(3, 1, 2, 2)),), wide=True),)
    program = _compiled(network((1, 3, 4), layers), 2, 2)
    images = random_images(program, 4)
    run_checked(program, images)
    run_checked(program, images, pause_in=_pauses(1), pause_out=_pauses(2, 9))


#: (seed, rows, cols, multiplier stages): seeds whose networks are small and together have every operator.
RANDOM = (
    (4, 8, 2, 3), (5, 1, 4, 1), (11, 8, 6, 3), (13, 2, 2, 2), (14, 5, 4, 3), (15, 8, 6, 3), (33, 1, 4, 3),
    (36, 4, 3, 3), (50, 2, 4, 2), (88, 1, 6, 3), (93, 3, 4, 1), (101, 2, 3, 2), (112, 4, 6, 3), (121, 8, 5, 1),
    (124, 4, 6, 3), (145, 8, 1, 1), (148, 7, 6, 3),
)  # fmt: skip


@pytest.mark.parametrize(("seed", "rows", "cols", "stages"), RANDOM, ids=str)
def test_random_network(seed, rows, cols, stages):
    net = random_network(seed, largest=6)
    program = _compiled(net, rows, cols, multiplier_stages=stages)
    images = random_images(program, 2, seed)
    result = run_checked(program, images)
    full = reference.run(net, images)
    want = np.concatenate([full[name].reshape(2, -1) for name in net.outputs], axis=1)
    assert np.array_equal(np.array(result.outputs), want), "compaction changed the outputs"


def test_input_gaps_change_nothing():
    program = _compiled(small_lenet(), 4, 3)
    run_checked(program, random_images(program, 2), pause_in=_pauses(5))


def test_output_back_pressure_leaves_the_cycle_counter():
    """Three results back up behind a reader slower than the array: it must wait, and not count the wait."""
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=_weight(2, 1, 1, 1)),)),
        Spec(name="b", terms=(Term(source="a", weight=_weight(4, 2, 1, 1)),), wide=True),
    )
    program = _compiled(network((1, 3, 3), layers), 3, 4)
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
        self.image_in = Stream(d.s_axis_tdata, d.s_axis_tvalid, d.s_axis_tready, d.s_axis_tlast)
        self.words_out = Stream(d.m_axis_tdata, d.m_axis_tvalid, d.m_axis_tready, d.m_axis_tlast)

    async def put(self, ctx, words, **options):
        await stream_put(ctx, self.image_in, [int(v) for v in words], **options)

    async def get(self, ctx):
        return [signed_word(word, 32) for word in await stream_get(ctx, self.words_out)]

    async def read(self, ctx, name):
        return await axil_read(ctx, self.dut, register_offset(name), prefix="s_axil_")

    async def write(self, ctx, name, value):
        await axil_write(ctx, self.dut, register_offset(name), value, prefix="s_axil_")

    def expected(self, image):
        return _words(self.program, image)


def _words(program: Program, image: np.ndarray) -> list[int]:
    tensors = reference.run(program.network, image[None])
    return np.concatenate([tensors[name].reshape(-1) for name in program.network.outputs]).tolist()


def _tiny() -> Program:
    layers = (
        Spec(name="a", terms=(Term(source="image", weight=_weight(2, 1, 2, 2)),)),
        Spec(name="b", terms=(Term(source="a", weight=_weight(3, 2, 2, 3)),), wide=True),
    )
    return _compiled(network((1, 3, 4), layers), 2, 2)


@pytest.mark.parametrize(
    ("wrong", "status"), [(5, 0b010), (11, 0b010), (13, 0b100), (40, 0b100)], ids=["short", "by-one", "late", "long"]
)
def test_image_of_wrong_length(wrong, status):
    """It is dropped and flagged, and the next one is right."""
    program = _tiny()
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
    result = run(program, images, pause_out=_pauses(3, 60, 0.9))
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
        assert await axil_read(ctx, dut, register_offset("HASH0"), prefix="s_axil_") == 0

    simulate(dut, bench, deadline=1000)
