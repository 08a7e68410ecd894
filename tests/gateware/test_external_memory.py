"""The whole accelerator with its program in external memory: exact integers, exact cycles, exact stalls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.lib.memory import MemoryData

from hwprm.compiler import Program
from hwprm.compiler.encoding.external import entry_shape, weight_shape
from hwprm.compiler.timing.stalls import MemoryModel
from hwprm.config import MemoryConfig
from hwprm.frontend import to_graph
from hwprm.gateware import Accelerator
from hwprm.intnet import Term
from hwprm.isa import register_offset
from hwprm.quantization import quantize_images, quantize_network
from tests.support.axi_memory import BASE, AxiMemory, random_delays
from tests.support.bench import Run, Stream, axil_read, axil_write, random_images, run_checked, simulate, stream_put
from tests.support.networks import Spec, compiled, network, seeded_weights, small_lenet
from tests.support.random_networks import random_network, random_residuals
from tests.support.rounds import long_round
from tests.support.zoo import ZOO, zoo_module

STATUS_MEMORY = 1 << 3


def external(net: Any, rows: int, cols: int, **options: Any) -> Program:
    return compiled(net, rows, cols, weights="axi", **options)


def tightest(net: Any, rows: int, cols: int, **options: Any) -> Program:
    """With the smallest rings that the network can have."""
    program = external(net, rows, cols, **options)
    tiles, hw, ext = program.tiles, program.hardware, program.hardware.external
    assert ext is not None
    row = max(entry_shape(hw, ext).words, weight_shape(hw, ext).words)
    tails = [min(tile.length, tile.tail(cols) + row) for tile in tiles if tile.residuals]
    entries = max([1, *tails, *(tile.busy for tile in tiles if tile.pixel_tiles > 1)])
    weights = max([1, *tails, *(tile.length for tile in tiles if tile.pixel_tiles > 1 or tile.passes > 1)])
    return external(net, rows, cols, axi_entry_buffer=entries, axi_weight_buffer=weights, **options)


def timing(latency: int, bandwidth: str) -> MemoryConfig:
    return MemoryConfig(latency=latency, bandwidth=bandwidth)


def check_stalls(program: Program, memory: AxiMemory, result: Run) -> int:
    """Every layer of every image starts in the predicted cycle; the stalls of all images."""
    assert memory.timing is not None
    assert memory.first_accept is not None
    cycles = [layer.cycles for layer in program.cycles.layers]
    model = MemoryModel(program.tiles, cycles, program.hardware, memory.timing, memory.first_accept)
    images = [model.image(start) for start in result.starts]
    assert [start for image in images for start in image.starts] == result.layer_starts
    stalls = [waited for image in images for waited in image.stalls]
    assert np.diff(result.layer_stalls).tolist() == stalls[:-1]
    assert result.registers["MEMORY_STALLS"] == sum(images[-1].stalls)
    return sum(stalls)


@pytest.mark.parametrize(
    ("rows", "cols", "bits", "burst", "outstanding", "latency", "bandwidth", "pipeline"),
    long_round(
        [
            (2, 8, 64, 2, 1, 20, "1", "fast"),  # one burst at a time: latency shows
            (4, 3, 64, 4, 4, 10, "1/8", "short"),
            (3, 17, 64, 8, 2, 5, "1/6", "fast"),  # weights of a column take several beats
            (7, 2, 128, 8, 2, 100, "2/5", "short"),
        ],
        quick=2,
    ),
)
def test_stalls_are_predicted(rows, cols, bits, burst, outstanding, latency, bandwidth, pipeline):
    options = {"axi_data_bits": bits, "axi_burst": burst, "axi_outstanding": outstanding, "pipeline": pipeline}
    program = tightest(small_lenet(), rows, cols, **options)
    memory = AxiMemory(program.external.data, program.hardware.external, timing=timing(latency, bandwidth))
    result = run_checked(program, random_images(program, 2), memory=memory)
    assert check_stalls(program, memory, result) > 0


@pytest.mark.parametrize(("seed", "rows", "cols"), long_round([(2, 2, 1), (0, 6, 14)], quick=1))
def test_random_network_with_tiny_rings(seed, rows, cols):
    program = tightest(random_network(seed), rows, cols, axi_data_bits=64, axi_burst=2, axi_outstanding=2)
    image, ext = program.external.data, program.hardware.external
    memory = AxiMemory(image, ext, timing=timing(9, "1/3"))
    check_stalls(program, memory, run_checked(program, random_images(program, 2), memory=memory))
    run_checked(program, random_images(program, 2), memory=AxiMemory(image, ext, delays=random_delays(seed)))


def test_block_of_a_real_network():
    """Sums of several tensors, strides, averages: float module, integers, accelerator with slow memory."""
    module, shape = zoo_module("resnet"), ZOO["resnet"][1]
    x = np.random.default_rng(1).normal(size=(4, *shape))
    net = quantize_network(to_graph(module, shape), x, 1.0)
    program = tightest(net, 6, 6, axi_data_bits=64, axi_burst=8)
    memory = AxiMemory(program.external.data, program.hardware.external, timing=timing(25, "1/2"))
    result = run_checked(program, quantize_images(x, 1.0, net)[:1], memory=memory)
    assert check_stalls(program, memory, result) > 0


@pytest.mark.parametrize(
    ("seed", "rows", "cols"), long_round([(8, 5, 2), (14, 1, 6), (1, 4, 3), (5, 2, 9), (11, 3, 1)], quick=1)
)
def test_no_gap_parts_residual_entries_from_their_filters(seed, rows, cols):
    pipeline = ("short", "fast")[seed % 2]
    options = {"axi_data_bits": 64, "axi_burst": 2, "axi_outstanding": 2, "pipeline": pipeline}
    program = tightest(random_residuals(seed), rows, cols, **options)
    assert program.hardware.residual_bits
    image, ext = program.external.data, program.hardware.external
    memory = AxiMemory(image, ext, timing=timing(9, "1/3"))
    assert check_stalls(program, memory, run_checked(program, random_images(program, 2), memory=memory)) > 0
    run_checked(program, random_images(program, 2), memory=AxiMemory(image, ext, delays=random_delays(seed)))


def test_fast_memory_costs_nothing():
    """Buffers and bandwidth as they come: after the first image nothing ever waits, and cycles are those of ROMs."""
    program = external(small_lenet(), 4, 3)
    memory = AxiMemory(program.external.data, program.hardware.external, timing=timing(20, "1"))
    result = run_checked(program, random_images(program, 2), memory=memory)
    assert result.registers["MEMORY_STALLS"] == 0
    assert result.registers["CYCLES"] == compiled(small_lenet(), 4, 3).cycles.total


def test_every_weight_is_read_once_an_image():
    """Bursts come in order: the first part once, the rest again for every image, and prefetch stays ahead by little."""
    program = external(small_lenet(), 4, 3, axi_data_bits=64, axi_burst=4)
    ext = program.hardware.external
    memory = AxiMemory(program.external.data, ext, timing=timing(10, "1/8"))
    run_checked(program, random_images(program, 2), memory=memory)
    stream = range(ext.boot_bursts, ext.bursts)
    expected = [*range(ext.boot_bursts), *(list(stream) * 9)]
    assert [first // ext.burst_beats for first in memory.bursts] == expected[: len(memory.bursts)]
    assert len(memory.bursts) < ext.boot_bursts + 4 * len(stream)


@pytest.mark.parametrize(
    ("cols", "bits", "burst", "outstanding", "latency", "rows"),
    long_round(
        [
            (2, 64, 32, 4, 12, (2, 2)),  # the bus is the limit
            (2, 512, 2, 2, 9, (2, 2)),  # the rings are: a row of each is freed, the next one comes
            (1, 64, 2, 1, 9, (2, 2)),  # a row of weights needs eight list entries beside it
            (8, 64, 2, 1, 5, (2, 4)),  # latency is: one burst at a time
            (8, 64, 8, 4, 5, (2, 4)),  # the ring of weights is: four columns
        ],
        quick=3,
    ),
)
def test_long_fully_connected_layer_streams_through_short_rings(cols, bits, burst, outstanding, latency, rows):
    """A list of 150 entries, shared by all tiles but too long to be kept."""
    layers = (Spec(name="fc", terms=seeded_terms("image", 2 * cols, 150, 1, 1), wide=True),)
    options = {"axi_data_bits": bits, "axi_burst": burst, "axi_outstanding": outstanding}
    net = network((150, 1, 1), layers)
    program = external(net, 2, cols, axi_entry_buffer=1, axi_weight_buffer=1, **options)
    ext = program.hardware.external
    assert program.tiles[0].length > 140
    assert (ext.entry_rows, ext.weight_rows) == rows
    memory = AxiMemory(program.external.data, ext, timing=timing(latency, "1"))
    result = run_checked(program, random_images(program, 2), memory=memory)
    assert check_stalls(program, memory, result) > 0


def seeded_terms(source: str, *shape: int) -> tuple[Any, ...]:
    return (Term(source=source, weight=seeded_weights(*shape)),)


@pytest.mark.parametrize("bad_beat", [3, 40], ids=["descriptors", "weights"])
def test_bus_error(bad_beat):
    """It is flagged, nothing further is asked for or started, and the registers keep answering."""
    program = external(small_lenet(), 4, 3, axi_data_bits=64, axi_burst=4)
    dut = Accelerator(program.hardware)
    memory = AxiMemory(program.external.data, program.hardware.external, timing=timing(10, "1"), bad_beat=bad_beat)
    image = random_images(program, 1)[0]

    async def bench(ctx):
        await axil_write(ctx, dut.s_axil, register_offset("BASE_HIGH"), BASE >> 32)
        await axil_write(ctx, dut.s_axil, register_offset("BASE"), BASE & 0xFFFFFFFF)
        await ctx.tick().repeat(200)
        asked = len(memory.bursts)
        port = Stream.of(dut.s_axis)
        await stream_put(ctx, port, [int(v) for v in image.reshape(-1)])
        await ctx.tick().repeat(2 * program.cycles.total)
        status = await axil_read(ctx, dut.s_axil, register_offset("STATUS"))
        assert status == STATUS_MEMORY
        await axil_write(ctx, dut.s_axil, register_offset("STATUS"), STATUS_MEMORY)
        assert await axil_read(ctx, dut.s_axil, register_offset("STATUS")) == STATUS_MEMORY
        assert await axil_read(ctx, dut.s_axil, register_offset("FRAMES_OUT")) == 0
        assert len(memory.bursts) == asked

    background = [memory.bench(dut.m_axi)]
    simulate(dut, bench, background=background, deadline=10_000)


def test_nothing_starts_before_the_base_address_is_written():
    program = external(small_lenet(), 4, 3, axi_data_bits=64, axi_burst=4)
    dut = Accelerator(program.hardware)
    memory = AxiMemory(program.external.data, program.hardware.external, timing=timing(3, "1"))

    async def bench(ctx):
        port = Stream.of(dut.s_axis)
        await stream_put(ctx, port, [0] * program.hardware.input_beats)
        await axil_write(ctx, dut.s_axil, register_offset("BASE_HIGH"), BASE >> 32)
        await ctx.tick().repeat(300)
        assert memory.bursts == []
        assert await axil_read(ctx, dut.s_axil, register_offset("STATUS")) == 0
        await axil_write(ctx, dut.s_axil, register_offset("BASE"), (BASE & 0xFFFFFFFF) + 0xABC)
        assert await axil_read(ctx, dut.s_axil, register_offset("BASE")) == BASE & 0xFFFFFFFF
        await axil_write(ctx, dut.s_axil, register_offset("BASE"), 0)  # the reader is under way
        await ctx.tick().repeat(400)
        assert memory.bursts[:3] == [0, 4, 8]
        assert await axil_read(ctx, dut.s_axil, register_offset("STATUS")) == 1

    background = [memory.bench(dut.m_axi)]
    simulate(dut, bench, background=background, deadline=10_000)


def test_images_may_come_before_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memories hold anything at power-on, so the store words name no stride at all until they are read in."""

    def full(*, shape: int, depth: int, init: Any) -> MemoryData:
        return MemoryData(shape=shape, depth=depth, init=init or [(1 << shape) - 1] * depth)

    monkeypatch.setattr("hwprm.gateware.primitives.memories.MemoryData", full)
    size = ZOO["unet"][1]
    pixels = np.random.default_rng(0).normal(size=(4, *size))
    net = quantize_network(to_graph(zoo_module("unet"), size), pixels, 1.0)
    program = external(net, 4, 3, batch=2)
    assert len(program.hardware.store_strides) == 3
    memory = AxiMemory(program.external.data, program.hardware.external, timing=timing(40, "1/4"))
    run_checked(program, random_images(program, 2), memory=memory)
