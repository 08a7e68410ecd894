"""Lane addresses against the addresses of the pixels themselves."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.gateware.core.lanes import LaneAddresses
from hwprm.isa import layer_format
from hwprm.isa.latencies import LANE_ADDRESS
from tests.support.bench import simulate
from tests.support.hardware import hardware

#: (rows, banks, output height, output width, step_y, step_x, pitch): the pitch keeps lanes conflict-free.
CASES = {
    "contiguous": (4, 4, 5, 6, 1, 1, 6),
    "one-lane": (1, 1, 3, 3, 1, 1, 5),
    "strided": (4, 5, 3, 4, 2, 2, 9),
    "pitch-above-width": (3, 3, 4, 4, 1, 1, 7),
    "narrower-than-the-lanes": (7, 7, 5, 2, 1, 1, 9),
    "single-column": (3, 3, 5, 1, 1, 1, 4),
    "single-row": (5, 5, 1, 13, 1, 1, 13),
    "row-step-alone": (4, 7, 4, 3, 3, 1, 8),
}


def _layer(hw, height, width, step_y, step_x, pitch):
    advance = hw.rows
    step = hw.address(step_y * pitch * (advance // width) + step_x * (advance % width))
    wrap = hw.address(step_y * pitch - step_x * width) if height > 1 else hw.address(0)
    lane = hw.address(step_x)
    assert wrap.bank == 0, "the case itself is wrong"
    names = [f.name for f in layer_format(hw).fields]
    return dict.fromkeys(names, 0) | {
        "width": width, "step_x": advance % width, "step_y": advance // width, "step_word": step.word,
        "step_bank": step.bank, "lane_word": lane.word, "lane_bank": lane.bank, "wrap_word": wrap.word,
    }  # fmt: skip


@pytest.mark.parametrize("pipeline", ["short", "fast"])
@pytest.mark.parametrize("image", [False, True], ids=["tensor", "image"])
@pytest.mark.parametrize("name", CASES)
def test_every_pixel_tile(name, image, pipeline):
    rows, banks, height, width, step_y, step_x, pitch = CASES[name]
    hw = hardware(rows=rows, banks=banks, memory_words=64, coordinate_bits=5, pipeline=pipeline)
    dut, rng = LaneAddresses(hw), np.random.default_rng(0)
    offset = 9 if image else 0
    size = banks << hw.word_bits
    tiles = -(-height * width // rows)

    async def check_tile(ctx, tile):
        entry = {key: int(rng.integers(0, limit)) for key, limit in (("word", 1 << hw.word_bits), ("bank", banks))}
        entry |= {key: int(rng.integers(0, 8)) for key in ("y_low", "y_high", "x_low", "x_high")}
        ctx.set(dut.entry, entry | {"guard": 0, "image": int(image)})
        await ctx.tick().repeat(LANE_ADDRESS(hw))
        for r in range(rows):
            y, x = divmod(tile * rows + r, width)
            at = entry["word"] * banks + entry["bank"] + offset * banks + step_y * pitch * y + step_x * x
            inside = entry["y_low"] <= y < entry["y_high"] and entry["x_low"] <= x < entry["x_high"]
            if height > 1 or y == 0:  # a single row has no next one
                assert ctx.get(dut.words[r]) == at % size // banks, (tile, r)
            assert ctx.get(dut.inside[r]) == inside, (tile, r)
            if r == 0:
                assert ctx.get(dut.rotation) == at % banks

    async def pulse(ctx, port):
        ctx.set(port, 1)
        await ctx.tick()
        ctx.set(port, 0)

    async def bench(ctx):
        ctx.set(dut.layer, _layer(hw, height, width, step_y, step_x, pitch))
        ctx.set(dut.offset, 9)
        ctx.set(dut.start, 1)
        assert not ctx.get(dut.ready)
        await ctx.tick()
        ctx.set(dut.start, 0)
        while not ctx.get(dut.ready):
            await ctx.tick()
        for _ in range(2):  # the second filter tile starts over
            await pulse(ctx, dut.restart)
            for tile in range(tiles):
                for _ in range(3):  # an entry a cycle or two: tiles are `SPACING` apart
                    await check_tile(ctx, tile)
                await pulse(ctx, dut.advance)

    simulate(dut, bench, deadline=2000)
