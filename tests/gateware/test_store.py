"""The store unit against a flat memory: gaps, tiles of one filter, several layers, repeated pixels, phases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from hwprm.compiler.layout.schedule import row_segments
from hwprm.gateware.core.store import StoreUnit
from hwprm.isa import store_format
from hwprm.isa.latencies import SPACING, TABLE_READ
from tests.support.bench import simulate
from tests.support.hardware import hardware


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A stored tensor at word `base`: a map of `height` x `width` computed pixels, each of which fills a rectangle of
    `repeats`, in rows `pitch` apart. Every `phases` filters are one channel, neighbouring columns of it.
    """

    filters: int
    height: int
    width: int
    pitch: int
    base: int
    repeats: tuple[int, int] = (1, 1)
    phases: int = 1

    @property
    def step(self) -> int:
        """Activations between neighbouring lanes."""
        return self.repeats[1] * self.phases

    @property
    def gap(self) -> int:
        return self.repeats[0] * self.pitch - self.step * self.width if self.height > 1 else 0

    def tile(self, hw) -> int:
        """Filters of a filter tile."""
        return hw.cols // self.phases * self.phases

    @property
    def channel(self) -> int:
        return self.height * self.repeats[0] * self.pitch


def _word(hw, layer: Layer, index: int, count: int) -> dict[str, int]:
    width = layer.width if layer.gap else layer.height * layer.width
    step = hw.rows * layer.step + hw.rows // width * layer.gap
    filters = layer.channel * (layer.tile(hw) // layer.phases)
    channel, tile, gap, step = (hw.address(v) for v in (layer.channel - layer.phases + 1, filters, layer.gap, step))
    stride = hw.store_strides.index(layer.step) if layer.height * layer.width > 1 else 0
    return {
        "base_word": layer.base,
        "channel_word": channel.word, "channel_bank": channel.bank,
        "tile_word": tile.word, "tile_bank": tile.bank,
        "gap_word": gap.word, "gap_bank": gap.bank,
        "width": width,
        "step_x": hw.rows % width, "step_word": step.word, "step_bank": step.bank,
        "pixels": layer.height * layer.width,
        "filters": layer.filters,
        "last": int(index == count - 1),
        "layer": index,
        **({"stride": stride} if hw.upsampling or hw.phased else {}),
        **(_repeats(hw, layer) if hw.upsampling else {}),
        **({"phases": layer.phases - 1, "tile_filters": layer.tile(hw)} if hw.phased else {}),
    }  # fmt: skip


def _repeats(hw, layer: Layer) -> dict[str, int]:
    line = hw.address(layer.pitch - (layer.repeats[1] - 1))
    return {
        "repeat_y": layer.repeats[0] - 1, "repeat_x": layer.repeats[1] - 1,
        "line_word": line.word, "line_bank": line.bank,
    }  # fmt: skip


CASES = {
    "contiguous": (4, 3, (Layer(filters=5, height=3, width=5, pitch=5, base=1),)),
    "gaps": (4, 2, (Layer(filters=5, height=4, width=3, pitch=5, base=2),)),
    "vector-over-many-rows": (7, 3, (Layer(filters=4, height=5, width=2, pitch=3, base=0),)),
    "one-filter-tiles": (3, 1, (Layer(filters=4, height=3, width=4, pitch=6, base=1),)),
    "one-filter-left-over": (3, 2, (Layer(filters=3, height=3, width=4, pitch=5, base=1),)),
    "single-pixel": (4, 3, (Layer(filters=7, height=1, width=1, pitch=1, base=3),)),
    "one-lane": (1, 2, (Layer(filters=3, height=2, width=3, pitch=4, base=0),)),
    "three-layers": (
        4,
        3,
        (
            Layer(filters=4, height=4, width=3, pitch=5, base=0),
            Layer(filters=7, height=1, width=1, pitch=1, base=30),
            Layer(filters=3, height=2, width=6, pitch=7, base=40),
        ),
    ),
    "repeated": (4, 3, (Layer(filters=5, height=3, width=5, pitch=10, base=1, repeats=(2, 2)),)),
    "repeated-with-gaps": (4, 2, (Layer(filters=3, height=4, width=3, pitch=11, base=2, repeats=(3, 3)),)),
    "repeated-below": (3, 1, (Layer(filters=3, height=2, width=5, pitch=5, base=0, repeats=(2, 1)),)),
    "repeated-beside-contiguous": (5, 2, (Layer(filters=3, height=3, width=3, pitch=6, base=0, repeats=(1, 2)),)),
    "repeated-pixel": (4, 3, (Layer(filters=4, height=1, width=1, pitch=5, base=0, repeats=(4, 5)),)),
    "repeated-one-lane": (1, 2, (Layer(filters=3, height=2, width=2, pitch=6, base=0, repeats=(2, 3)),)),
    "repeated-and-not": (
        4,
        3,
        (
            Layer(filters=4, height=4, width=3, pitch=5, base=0),
            Layer(filters=4, height=3, width=2, pitch=8, base=30, repeats=(1, 3)),
            Layer(filters=2, height=3, width=4, pitch=9, base=80, repeats=(2, 2)),
        ),
    ),
    "phases": (4, 3, (Layer(filters=9, height=3, width=2, pitch=6, base=1, phases=3),)),
    "two-phases-and-a-column-that-idles": (4, 3, (Layer(filters=6, height=3, width=3, pitch=6, base=1, phases=2),)),
    "channels-side-by-side": (6, 8, (Layer(filters=10, height=3, width=3, pitch=7, base=0, phases=2),)),
    "phases-with-gaps": (4, 4, (Layer(filters=8, height=3, width=1, pitch=6, base=2, phases=4),)),
    "phases-of-a-pixel": (4, 4, (Layer(filters=6, height=1, width=1, pitch=2, base=2, phases=2),)),
    "phases-and-not": (
        4,
        5,
        (
            Layer(filters=7, height=2, width=3, pitch=4, base=0),
            Layer(filters=12, height=2, width=3, pitch=9, base=20, phases=3),
            Layer(filters=6, height=3, width=4, pitch=8, base=50, phases=2),
            Layer(filters=4, height=3, width=2, pitch=8, base=90, repeats=(1, 3)),
        ),
    ),
}


@pytest.mark.parametrize("pipeline", ["short", "fast"])
@pytest.mark.parametrize("name", CASES)
def test_stores_land_where_the_plan_says(name, pipeline):
    rows, cols, layers = CASES[name]
    hw = hardware(
        rows=rows,
        cols=cols,
        banks=rows + 1,
        memory_words=200,
        act_bits=8,
        layers=len(layers),
        stores=len(layers),
        store_strides=tuple(sorted({layer.step for layer in layers if layer.height * layer.width > 1} or {1})),
        phases_max=max(layer.phases for layer in layers),
        repeats_max=tuple(max(layer.repeats[axis] for layer in layers) for axis in (0, 1)),
        pipeline=pipeline,
    )
    dut, rng = StoreUnit(hw), np.random.default_rng(0)
    words = [_word(hw, layer, i, len(layers)) for i, layer in enumerate(layers)]
    assert all(word.keys() == {f.name for f in store_format(hw).fields} for word in words)
    memory: dict[int, int] = {}
    writes: list[int] = [0]
    probes: list[tuple[int, int, int, int]] = []
    done: list[int] = []
    tensors = [rng.integers(0, 256, (2, la.filters, la.height * la.width)) for la in layers]

    async def rom(ctx):
        """As many cycles from address to word as the ROM has."""
        ctx.set(dut.loaded, 1)
        ctx.set(dut.store, words[0])
        read = [0] * TABLE_READ(hw)
        async for _, _, address in ctx.tick().sample(dut.store_addr):
            read = [*read[1:], address]
            ctx.set(dut.store, words[read[0]])

    async def watch(ctx):
        ports = (
            dut.write,
            dut.write_at,
            dut.write_stride,
            dut.first_lane,
            dut.last_lane,
            dut.layer_done,
            dut.probe_valid,
        )
        probe = (dut.probe_layer, dut.probe_filter, dut.probe_pixel, dut.probe_lanes)
        async for _, _, *values in ctx.tick().sample(*ports, *probe, *dut.write_data):
            write, at, stride, first, last, layer_done, probed, *rest = values
            if probed:
                probes.append(tuple(rest[:4]))
            if write:
                writes[0] += 1
                for r in range(first, last):
                    place = at.word * hw.banks + at.bank + r * hw.store_strides[stride]
                    assert memory.setdefault(place % (hw.banks << hw.word_bits), rest[4 + r]) == rest[4 + r]
            if layer_done:
                done.append(writes[0])

    async def bench(ctx):
        for image in range(2):
            memory.clear()
            for i, layer in enumerate(layers):
                await ctx.tick().repeat(TABLE_READ(hw) + SPACING(hw) + 1)  # the drain takes longer
                await _send(ctx, dut, hw, layer, tensors[i][image])
                while len(done) < image * len(layers) + i + 1:
                    await ctx.tick()
            _assert_memory(hw, layers, [tensor[image] for tensor in tensors], memory)

    simulate(dut, bench, background=[rom, watch], deadline=5000)
    assert probes == [p for _ in range(2) for i, la in enumerate(layers) for p in _vectors(hw, i, la)]
    assert done[-1] == 2 * sum(la.filters * sum(_segments(hw, la)) for la in layers)


def _segments(hw, layer: Layer) -> list[int]:
    """Writes of each pixel tile's vector."""
    pixels, times = layer.height * layer.width, layer.repeats[0] * layer.repeats[1]
    return [times * n for n in row_segments(pixels, layer.width if layer.gap else pixels, hw.rows)]


def _vectors(hw, index: int, layer: Layer):
    """(layer, filter, first pixel, lanes) in the order in which vectors come."""
    pixels = layer.height * layer.width
    for tile in range(0, layer.filters, layer.tile(hw)):
        for pixel in range(0, pixels, hw.rows):
            for f in range(tile, min(tile + layer.tile(hw), layer.filters)):
                yield index, f, pixel, min(hw.rows, pixels - pixel)


async def _send(ctx, dut: StoreUnit, hw, layer: Layer, tensor: np.ndarray) -> None:
    """The filters of a tile a cycle apart, then time for the writes that a vector of several rows needs, and for the
    spacing of tiles.
    """
    worst = max(_segments(hw, layer))
    for _, f, pixel, lanes in _vectors(hw, 0, layer):
        ctx.set(dut.vector_valid, 1)
        for r in range(hw.rows):
            ctx.set(dut.vector[r], int(tensor[f, pixel + r]) if r < lanes else 0xEE)
        await ctx.tick()
        ctx.set(dut.vector_valid, 0)
        filters = min(layer.tile(hw), layer.filters - f // layer.tile(hw) * layer.tile(hw))
        spare = max(filters * worst, SPACING(hw)) - filters
        if f % layer.tile(hw) == filters - 1 and spare:
            await ctx.tick().repeat(spare)


def _assert_memory(hw, layers, tensors, memory: dict[int, int]) -> None:
    """Exactly the elements, nothing beside them."""
    want = {}
    for layer, tensor in zip(layers, tensors, strict=True):
        for f in range(layer.filters):
            rows = tensor[f].reshape(layer.height, layer.width).repeat(layer.repeats[0], 0).repeat(layer.repeats[1], 1)
            channel, phase = divmod(f, layer.phases)
            start = layer.base * hw.banks + channel * layer.channel + phase
            for (y, x), value in np.ndenumerate(rows):
                want[start + y * layer.pitch + x * layer.phases] = int(value)
    assert memory == want
