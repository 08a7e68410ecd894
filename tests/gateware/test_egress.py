"""The words' way out: order, buffers and back-pressure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from hwprm.gateware.host.egress import Egress
from hwprm.isa import layer_format
from tests.support.bench import Stream, signed_word, simulate, stream_get
from tests.support.hardware import hardware


@dataclass(frozen=True)
class Wide:
    """A wide layer: filters, and pixels of its map."""

    filters: int
    pixels: int


def _arrivals(layers: tuple[Wide, ...], cols: int):
    """(layer, filter, pixel, flags) in the order in which the drain brings them: tile, pixel, filter."""
    for i, layer in enumerate(layers):
        for first in range(0, layer.filters, cols):
            last_tile = first + cols >= layer.filters
            for p in range(layer.pixels):
                filters = range(first, min(first + cols, layer.filters))
                for f in filters:
                    yield (
                        i,
                        f,
                        p,
                        {
                            "tile_first": int(f == first),
                            "tile_last": int(f == filters[-1]),
                            "layer_first": int(first == 0),
                            "pixel_first": int(p == 0),
                            "layer_last": int(last_tile and p == layer.pixels - 1),
                            "frame_last": int(last_tile and i == len(layers) - 1),
                        },
                    )


CASES = {
    "one-word": ((Wide(1, 1),), 1),
    "logits": ((Wide(10, 1),), 4),
    "map": ((Wide(3, 6),), 2),
    "map-one-tile": ((Wide(3, 4),), 4),
    "map-of-one-filter-tiles": ((Wide(3, 4),), 1),
    "two-layers": ((Wide(3, 5), Wide(7, 1)), 3),
    "three-layers": ((Wide(2, 1), Wide(1, 4), Wide(5, 3)), 2),
}


@pytest.mark.parametrize("pace", ["free", "slow-reader", "slow-array", "random"])
@pytest.mark.parametrize("name", CASES)
def test_images_leave_in_order(name, pace):
    layers, cols = CASES[name]
    sizes = [layer.filters * layer.pixels for layer in layers]
    bases = np.cumsum([0, *sizes])
    hw = hardware(
        cols=cols, output_words=int(bases[-1]), wide_pixels_max=max(la.pixels for la in layers), layers=len(layers)
    )
    dut = Egress(hw)
    rng = np.random.default_rng(0)
    frames = rng.integers(-(1 << 31), 1 << 31, (4, bases[-1]))
    names = [f.name for f in layer_format(hw).fields]
    done = {"layer": 0, "frame": 0}
    got: list[list[int]] = []

    async def fill(ctx):
        for frame in frames:
            while not ctx.get(dut.room):
                await ctx.tick()
            for i, f, p, flags in _arrivals(layers, cols):
                ctx.set(
                    dut.layer,
                    dict.fromkeys(names, 0) | {"wide_pixels": layers[i].pixels, "wide_base": int(bases[i]), "wide": 1},
                )
                ctx.set(dut.word, int(frame[bases[i] + f * layers[i].pixels + p]))
                ctx.set(dut.flags, flags)
                ctx.set(dut.word_valid, 1)
                done["layer"] += ctx.get(dut.layer_done)
                done["frame"] += ctx.get(dut.frame_done)
                await ctx.tick()
                ctx.set(dut.word_valid, 0)
                if pace == "slow-array" or (pace == "random" and rng.random() < 0.3):
                    ctx.set(dut.flags, dict.fromkeys(flags, 1))  # noise beside VALID
                    await ctx.tick().repeat(3)

    def pause():
        return {"free": 0, "slow-array": 0, "slow-reader": 5}.get(pace, int(rng.integers(0, 4)))

    async def read(ctx):
        port = Stream.of(dut.stream)
        for _ in frames:
            got.append([signed_word(word, 32) for word in await stream_get(ctx, port, pause=pause)])

    simulate(dut, fill, read, deadline=5000)
    assert got == frames.tolist()
    assert done == {"layer": 4 * len(layers), "frame": 4}


def test_room_for_two_images_and_no_more():
    hw = hardware(cols=2, output_words=2, layers=1)
    dut = Egress(hw)
    names = [f.name for f in layer_format(hw).fields]

    async def bench(ctx):
        ctx.set(dut.layer, dict.fromkeys(names, 0) | {"wide_pixels": 1})
        for frame in range(2):
            assert ctx.get(dut.room)
            for _, f, _, flags in _arrivals((Wide(2, 1),), 2):
                ctx.set(dut.word, 10 * frame + f)
                ctx.set(dut.flags, flags)
                ctx.set(dut.word_valid, 1)
                await ctx.tick()
            ctx.set(dut.word_valid, 0)
        await ctx.tick().repeat(10)
        assert not ctx.get(dut.room)
        port = Stream.of(dut.stream)
        assert await stream_get(ctx, port) == [0, 1]
        assert ctx.get(dut.room)
        assert await stream_get(ctx, port) == [10, 11]

    simulate(dut, bench, deadline=200)
