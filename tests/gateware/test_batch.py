"""Batches: several images as one raster of pixels; every tensor, every output word and the cycle counter, exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwprm.compiler import Program
from hwprm.config import ArrayConfig, MemoryConfig
from hwprm.core.errors import ConfigError
from hwprm.gateware import Accelerator
from hwprm.intnet import IntegerNetwork, Pool, Residual, Term, reference
from hwprm.isa import register_offset, table_formats
from tests.gateware.test_external_memory import check_stalls, tightest
from tests.support.axi_memory import AxiMemory
from tests.support.bench import (
    Stream,
    axil_read,
    axil_write,
    random_images,
    random_pause,
    rom_contents,
    run_checked,
    signed_word,
    simulate,
    stream_get,
    stream_put,
)
from tests.support.networks import SEVERAL_INPUTS, Spec, compiled, network, seeded_weights, small_lenet
from tests.support.random_networks import random_inputs, random_network, random_residuals
from tests.support.rounds import long_round


def _term(source: str, *shape: int, **options: Any) -> Term:
    return Term(source=source, weight=seeded_weights(*shape), **options)


SAME = {"padding": (1, 1, 1, 1)}


def disagreeing() -> IntegerNetwork:
    """A map of 5 x 3 pixels read as such and without its ends: no distance of images serves both on 4 lanes."""
    layers = (
        Spec(name="a", terms=(_term("image", 3, 1, 3, 3, **SAME),)),
        Spec(name="b", terms=(_term("a", 3, 3, 3, 3, **SAME),)),
        Spec(name="c", terms=(_term("a", 2, 3, 3, 1),)),
        Spec(name="d", terms=(_term("b", 2, 3, 5, 3), _term("c", 2, 2, 3, 3)), wide=True),
    )
    return network((1, 5, 3), layers)


def disagreeing_outputs() -> IntegerNetwork:
    """The same with outputs that are maps, so that output words come from tiles that end with the image."""
    layers = (
        Spec(name="a", terms=(_term("image", 3, 1, 3, 3, **SAME),)),
        Spec(name="b", terms=(_term("a", 3, 3, 3, 3, **SAME),), wide=True),
        Spec(name="c", terms=(_term("a", 2, 3, 3, 1),), wide=True),
    )
    return network((1, 5, 3), layers)


def row_gaps() -> IntegerNetwork:
    """Rows that are apart, and images that are apart in another way."""
    pool = Pool(kernel=(2, 2), stride=(2, 2))
    layers = (
        Spec(name="a", terms=(_term("image", 4, 1, 2, 2),)),
        Spec(name="b", terms=(_term("a", 3, 4, 3, 3),), pool=pool),
        Spec(name="c", terms=(_term("b", 3, 3, 2, 1),), wide=True),
    )
    return network((1, 8, 7), layers)


def average() -> IntegerNetwork:
    """A global average, whose lanes run over channels and images, and a linear layer."""
    ones = np.ones((6, 1, 3, 3), np.int64)
    layers = (
        Spec(name="a", terms=(_term("image", 6, 1, 3, 3, **SAME),)),
        Spec(name="mean", terms=(Term(source="a", weight=ones, groups=6),)),
        Spec(name="out", terms=(_term("mean", 4, 6, 1, 1),), wide=True),
    )
    net = network((1, 3, 3), layers)
    mean = net.layers[1]
    equal = {name: np.full_like(getattr(mean, name), getattr(mean, name)[0]) for name in ("bias", "mult", "shift")}
    return replace(net, layers=(net.layers[0], replace(mean, **equal), net.layers[2]))


def padded_pool() -> IntegerNetwork:
    """A padded max pool, whose windows leave the map, and a residual."""
    pool = Pool(kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1))
    added = Residual(source="a", channel=np.array([2, 0, 1]), mult=np.array([900, 0, 70]))
    layers = (
        Spec(name="a", terms=(_term("image", 3, 2, 3, 3, **SAME),), pool=pool),
        Spec(name="b", terms=(_term("a", 3, 3, 3, 3, **SAME),), residual=added),
        Spec(name="c", terms=(_term("b", 2, 3, 1, 1),), wide=True),
    )
    return network((2, 6, 5), layers)


def upsampled() -> IntegerNetwork:
    """Pixels that are repeated: writes cut where rows and images end."""
    layers = (
        Spec(name="a", terms=(_term("image", 2, 1, 3, 3, **SAME),)),
        Spec(name="b", terms=(_term("a", 2, 2, 2, 2),), wide=True),
    )
    net = network((1, 3, 3), layers)
    big = replace(net.tensor["a"], shape=(2, 6, 9))
    out = replace(net.tensor["b"], shape=(2, 5, 8))
    return replace(
        net,
        layers=(replace(net.layers[0], upsample=(2, 3)), net.layers[1]),
        tensors=(net.tensor["image"], big, out),
    )


#: Those that take long stand last.
CASES = {
    "lenet-one-lane": (lambda: _linear(5), 1, 2),
    "linear": (lambda: _linear(9), 4, 3),
    "disagreeing-outputs": (disagreeing_outputs, 4, 2),
    "average": (average, 4, 3),
    "upsampled": (upsampled, 4, 2),
    "disagreeing": (disagreeing, 4, 2),
    "padded-pool": (padded_pool, 4, 3),
    "row-gaps": (row_gaps, 4, 3),
    "lenet": (small_lenet, 4, 3),
}


def _linear(inputs: int) -> IntegerNetwork:
    layers = (
        Spec(name="a", terms=(_term("image", 5, inputs, 1, 1),)),
        Spec(name="b", terms=(_term("a", 3, 5, 1, 1),), wide=True),
    )
    return network((inputs, 1, 1), layers)


@pytest.mark.parametrize(
    ("sizes", "pipeline"), long_round([([3, 2], "short"), ([3, 1, 2], "fast"), ([3, 1, 2], "short")], quick=1), ids=str
)
@pytest.mark.parametrize("name", long_round(CASES, quick=5))
def test_batches(name, sizes, pipeline):
    """A whole batch, one of all but one, at length one of a single image: cycles are the same for all."""
    make, rows, cols = CASES[name]
    program = compiled(make(), rows, cols, batch=3, pipeline=pipeline)
    result = run_checked(program, random_images(program, sum(sizes)), batches=sizes)
    assert result.registers["BATCH"] == sizes[-1]


def test_a_batch_of_a_single_image():
    """Between two others, the last of which is short as well."""
    program = compiled(_linear(9), 4, 3, batch=3)
    run_checked(program, random_images(program, 6), batches=[3, 1, 2])


def test_the_cases_are_what_they_say():
    """Each feature of a design stands where its case needs it, and nowhere else."""
    found = {name: compiled(make(), rows, cols, batch=3) for name, (make, rows, cols) in CASES.items()}
    assert {name for name, program in found.items() if program.hardware.apart} == {
        "disagreeing",
        "disagreeing-outputs",
    }
    assert found["row-gaps"].hardware.image_gaps
    assert not found["linear"].hardware.image_gaps
    assert any(geo.channel_lanes for geo in found["average"].geometry)
    assert found["upsampled"].hardware.upsampling


def test_fast_pipeline():
    program = compiled(row_gaps(), 4, 3, batch=2, pipeline="fast")
    run_checked(program, random_images(program, 3))


@pytest.mark.parametrize("name", long_round(SEVERAL_INPUTS, quick=2))
def test_several_inputs(name):
    program = compiled(SEVERAL_INPUTS[name](), 3, 4, batch=2)
    run_checked(program, random_images(program, 3), pause_in=random_pause(3))


KINDS = {"network": random_network, "inputs": random_inputs, "residuals": random_residuals}


def _drawn(seed: int) -> Any:
    kind = list(KINDS)[seed % 3]
    return KINDS[kind](seed, largest=5)


@pytest.mark.parametrize("seed", long_round((1000, 1002, 1001, *range(1003, 1030)), quick=2))
def test_random_networks(seed):
    rng = np.random.default_rng(seed)
    rows, cols, batch = (int(rng.integers(low, high)) for low, high in ((2, 9), (1, 6), (2, 6)))
    program = compiled(_drawn(seed), rows, cols, batch=batch, pipeline=("short", "fast")[seed // 3 % 2])
    sizes = [batch, int(rng.integers(1, batch + 1))]
    run_checked(program, random_images(program, sum(sizes), seed), batches=sizes, pause_out=random_pause(seed))


def test_back_pressure_and_gaps_change_nothing():
    program = compiled(_linear(9), 4, 3, batch=2)
    result = run_checked(program, random_images(program, 9), pause_in=random_pause(5), pause_out=lambda: 40)
    assert result.registers["STALLS"] > 0


def test_batches_start_as_soon_as_the_one_before_allows():
    program = compiled(small_lenet(), 4, 3, batch=2)
    result = run_checked(program, random_images(program, 4))
    assert np.diff(result.starts).tolist() == [program.cycles.total]


def test_external_memory_is_read_once_a_batch():
    """As many bytes as one image takes alone, and the predicted stalls."""
    options = {"axi_data_bits": 64, "axi_burst": 4, "axi_outstanding": 2}
    program = tightest(small_lenet(), 4, 3, batch=3, **options)
    assert program.external.bytes <= tightest(small_lenet(), 4, 3, **options).external.bytes * 1.1
    timing = MemoryConfig(latency=10, bandwidth="1/8")
    memory = AxiMemory(program.external.data, program.hardware.external, timing=timing)
    assert check_stalls(program, memory, run_checked(program, random_images(program, 5), memory=memory)) > 0


def test_a_batch_costs_linear_layers_once():
    """Lanes run over images: as many as there are rows cost the entries of one."""
    one, eight = (compiled(_linear(9), 8, 3, batch=batch).cycles for batch in (1, 8))
    assert [layer.busy for layer in eight.layers] == [layer.busy for layer in one.layers]
    assert eight.batch == 8


def test_one_image_is_what_it_was():
    """No field, no register and no memory of its own for a design without batches."""
    plain, batched = compiled(small_lenet(), 4, 3), compiled(small_lenet(), 4, 3, batch=2)
    assert plain.hardware.batch == 1
    assert plain.rom("layers").width < batched.rom("layers").width
    names = {f.name for form, _ in table_formats(plain.hardware).values() for f in form.fields}
    assert not names & {"height", "image_word", "image_bank", "image_tiles", "image_pixels", "wide_run"}


@pytest.mark.parametrize("batch", [0, 257, 2.5])
def test_batches_that_there_are_none_of(batch):
    with pytest.raises(ConfigError, match="batch"):
        ArrayConfig(batch=batch)


class _Hand:
    """A design with batches driven by hand."""

    def __init__(self, program: Program):
        self.program = program
        self.dut = d = Accelerator(program.hardware, rom_contents(program))
        self.image_in = Stream.of(d.s_axis)
        self.words_out = Stream.of(d.m_axis)

    async def put(self, ctx, words, **options):
        await stream_put(ctx, self.image_in, [int(v) for v in np.reshape(words, -1)], **options)

    async def expect(self, ctx, images):
        for image in images:
            got = [signed_word(word, 32) for word in await stream_get(ctx, self.words_out)]
            tensors = reference.run(self.program.network, image[None])
            assert got == np.concatenate([tensors[n].reshape(-1) for n in self.program.network.outputs]).tolist()

    async def read(self, ctx, name):
        return await axil_read(ctx, self.dut.s_axil, register_offset(name))

    async def flush(self, ctx):
        await axil_write(ctx, self.dut.s_axil, register_offset("FLUSH"), 0)


def test_dropped_images_leave_their_place_to_the_next():
    """Too short, too long, and between them those of one batch; then a batch behind a flush, with a drop last."""
    hand = _Hand(compiled(_linear(9), 4, 3, batch=3))
    good = random_images(hand.program, 5)

    async def bench(ctx):
        for image, wrong in zip(good[:3], (4, 12, 30), strict=True):
            await hand.put(ctx, np.arange(wrong))
            await hand.put(ctx, image)
        await hand.expect(ctx, good[:3])
        await hand.put(ctx, good[3])
        await hand.put(ctx, good[4])
        await hand.put(ctx, np.arange(5))
        await ctx.tick().repeat(5)
        await hand.flush(ctx)
        await hand.expect(ctx, good[3:])
        assert await hand.read(ctx, "FRAMES_DROPPED") == 4
        assert await hand.read(ctx, "FRAMES_IN") == await hand.read(ctx, "FRAMES_OUT") == 5
        assert await hand.read(ctx, "BATCH") == 2

    simulate(hand.dut, bench, deadline=10_000)


def test_flush():
    """Of nothing: nothing. In mid-image: with that image. Where a dropped image was all: nothing, and not later."""
    hand = _Hand(compiled(_linear(9), 4, 3, batch=3))
    good = random_images(hand.program, 6)

    async def bench(ctx):
        await hand.flush(ctx)
        await hand.put(ctx, good[0].reshape(-1)[:4], last=False)
        await hand.flush(ctx)
        await hand.put(ctx, good[0].reshape(-1)[4:])
        await hand.expect(ctx, good[:1])
        await hand.put(ctx, np.arange(4), last=False)
        await hand.flush(ctx)
        await hand.put(ctx, np.arange(2))  # too short in all: dropped
        await hand.put(ctx, good[1])
        await ctx.tick().repeat(3 * hand.program.cycles.total)
        assert await hand.read(ctx, "FRAMES_OUT") == 1
        await hand.put(ctx, good[2])
        await hand.put(ctx, good[3])
        await hand.expect(ctx, good[1:4])
        for image in good[4:]:
            await hand.put(ctx, image)
        await ctx.tick().repeat(5)
        await hand.flush(ctx)
        await hand.flush(ctx)
        await hand.expect(ctx, good[4:])
        assert await hand.read(ctx, "BATCH_SIZE") == 3
        assert await hand.read(ctx, "FLUSH") == 0

    simulate(hand.dut, bench, deadline=10_000)
