"""Systolic array and processing element against numpy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed

from hwprm.gateware.core.array import SystolicArray
from hwprm.gateware.core.processing_element import ProcessingElement
from hwprm.isa import Hardware
from hwprm.isa.latencies import operand_to_sum
from tests.support.bench import simulate
from tests.support.hardware import hardware

Pass = tuple[np.ndarray, np.ndarray, np.ndarray]  # activations (K, rows), weights (K, cols), keep (rows,)


def _drained(hw: Hardware, tiles: list[list[Pass]], element: ProcessingElement | None = None) -> np.ndarray:
    """Results ``(tiles, rows, cols)`` of pixel tiles that follow each other without a pause, drained on the wavefront.

    Each tile is a list of passes. The test reads `drained` at the one cycle that the docstring promises.
    """
    dut = SystolicArray(hw, element)
    slots = []  # (activations, weights, first, close, open, keep, tile ends)
    ends = []
    for tile in tiles:
        for p, (acts, weights, keep) in enumerate(tile):
            for k in range(len(acts)):
                last = k == len(acts) - 1
                slots.append((acts[k], weights[k], k == 0, last, p == 0, keep))
        ends.append(len(slots) - 1)
    assert all(b - a >= hw.cols for a, b in pairwise(ends)), "the drain needs a cycle per filter"
    latency = operand_to_sum(hw)
    result = np.full((len(tiles), hw.rows, hw.cols), -(1 << 60))
    selects = {end + latency + c: c for end in ends for c in range(hw.cols)}
    reads = {end + latency + c + r + hw.mux_levels: [] for end in ends for c in range(hw.cols) for r in range(hw.rows)}
    for t, end in enumerate(ends):
        for c in range(hw.cols):
            for r in range(hw.rows):
                reads[end + latency + c + r + hw.mux_levels].append((t, r, c))

    async def bench(ctx):
        for cycle in range(max(reads) + 1):
            if cycle < len(slots):
                acts, weights, first, close, opening, keep = slots[cycle]
                for c in range(hw.cols):
                    ctx.set(dut.weights[c], int(weights[c]))
                for r in range(hw.rows):
                    flags = {"first": first}
                    if hw.pooling:
                        flags |= {"close": close, "open": opening, "keep": bool(keep[r])}
                    ctx.set(dut.operands[r], {"act": int(acts[r]), **flags})
            ctx.set(dut.select, selects.get(cycle, 0))
            for t, r, c in reads.get(cycle, ()):
                result[t, r, c] = ctx.get(dut.drained[r])
            await ctx.tick()

    simulate(dut, bench, deadline=max(reads) + 50)
    return result


def _expected(hw: Hardware, tiles: list[list[Pass]]) -> np.ndarray:
    out = []
    for tile in tiles:
        sums = np.stack([acts.T @ weights for acts, weights, _ in tile])
        least = -(1 << hw.acc_bits - 1)
        counted = np.stack([np.broadcast_to(keep[:, None], sums.shape[1:]) for _, _, keep in tile])
        out.append(np.where(counted, sums, least).max(axis=0))
    return np.array(out)


def _tiles(hw: Hardware, rng: np.random.Generator, passes: int, count: int = 4) -> list[list[Pass]]:
    half_a, half_w = 1 << hw.act_bits - 1, 1 << hw.weight_bits - 1
    tiles = []
    for _ in range(count):
        length = int(rng.integers(max(1, -(-hw.cols // passes)), hw.cols + 6))
        tile = []
        for _ in range(passes):
            keep = rng.random(hw.rows) < 0.6 if passes > 1 else np.ones(hw.rows, dtype=bool)
            acts = rng.integers(-half_a, half_a, (length, hw.rows))
            tile.append((acts, rng.integers(-half_w, half_w, (length, hw.cols)), keep))
        tiles.append(tile)
    return tiles


GEOMETRIES = [(1, 1), (1, 5), (6, 1), (3, 5), (4, 4), (2, 17)]


@pytest.mark.parametrize(("rows", "cols"), GEOMETRIES, ids=str)
def test_products_of_matrices(rows, cols):
    hw = hardware(rows=rows, cols=cols)
    tiles = _tiles(hw, np.random.default_rng(rows * 100 + cols), 1)
    assert np.array_equal(_drained(hw, tiles), _expected(hw, tiles))


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (3, 4), (4, 2)], ids=str)
def test_pooling_keeps_the_maximum_of_the_passes_that_count(rows, cols):
    hw = hardware(rows=rows, cols=cols, pooling=True)
    tiles = _tiles(hw, np.random.default_rng(5), 3)
    tiles[0] = [(acts - 128 - acts, weights, keep) for acts, weights, keep in tiles[0]]  # all activations -128
    tiles[1][:-1] = [(acts, weights, keep & False) for acts, weights, keep in tiles[1][:-1]]  # the last pass counts
    tiles[1][-1] = (*tiles[1][-1][:2], np.ones(rows, dtype=bool))
    # Some pass counts in every lane that is read.
    counted = np.stack([np.any([keep for _, _, keep in tile], axis=0) for tile in tiles])[:, :, None]
    assert np.array_equal(np.where(counted, _drained(hw, tiles), 0), np.where(counted, _expected(hw, tiles), 0))


@pytest.mark.parametrize(("rows", "cols"), GEOMETRIES, ids=str)
@pytest.mark.parametrize(("stages", "pooling"), [(1, False), (3, False), (1, True)], ids=str)
def test_what_passes_through_meets_its_sum_one_cycle_ahead(rows, cols, stages, pooling):
    """While `drained` shows column c, `passed` showed the activation cols - 1 - c entries before the last."""
    hw = hardware(rows=rows, cols=cols, residual_bits=1, multiplier_stages=stages, pooling=pooling)
    dut = SystolicArray(hw)
    acts = np.random.default_rng(0).integers(-128, 128, (cols + 3, rows))
    first = len(acts) - 1 + operand_to_sum(hw) + hw.mux_levels  # `drained` of row 0 shows column 0
    seen = {}

    async def bench(ctx):
        for cycle in range(first + cols + rows):
            for r in range(rows):
                ctx.set(dut.operands[r].act, int(acts[cycle, r]) if cycle < len(acts) else 0)
                seen[cycle, r] = ctx.get(dut.passed[r])
            await ctx.tick()

    simulate(dut, bench, deadline=200)
    for r in range(rows):
        got = [seen[first + r + c - 1, r] for c in range(cols)]
        assert got == acts[-cols:, r].tolist(), r


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
def test_multiplier_stages(stages):
    hw = hardware(rows=2, cols=3, multiplier_stages=stages)
    tiles = _tiles(hw, np.random.default_rng(stages), 1)
    assert np.array_equal(_drained(hw, tiles), _expected(hw, tiles))


def test_extremes_fill_the_accumulator():
    """-128 * -128 eight times is 2**17, one more than 18 bits hold."""
    hw = hardware(rows=2, cols=2, acc_bits=19)
    acts, weights = np.full((8, 2), -128), np.full((8, 2), -128)
    tile = [(acts, weights, np.ones(2, dtype=bool))]
    assert (_drained(hw, [tile]) == 8 * 128 * 128).all()


class OffByOne(ProcessingElement):
    """A product that is wrong when both operands are negative."""

    def product(self, m: Module, act, weight, name: str, platform=None):
        value = Signal(signed(self._hw.act_bits + self._hw.weight_bits), name=f"{name}_wrong")
        m.d.sync += value.eq(act * weight + ((act < 0) & (weight < 0)))
        return value


class Hurried(ProcessingElement):
    """A pipeline stage short."""

    def product(self, m: Module, act, weight, name: str, platform=None):
        return act * weight


@pytest.mark.parametrize("element", [OffByOne, Hurried])
def test_a_faulty_element_is_seen(element):
    hw = hardware(rows=3, cols=2)
    tiles = _tiles(hw, np.random.default_rng(0), 1)
    assert not np.array_equal(_drained(hw, tiles, element(hw)), _expected(hw, tiles))


@pytest.mark.parametrize("stages", [1, 3])
@pytest.mark.parametrize("pooling", [False, True], ids=["plain", "pooling"])
def test_latency_of_the_first_result(pooling, stages):
    hw = hardware(rows=1, cols=1, pooling=pooling, multiplier_stages=stages)
    dut = SystolicArray(hw)
    changed = []

    async def bench(ctx):
        flags = {"first": 1} | ({"close": 1, "open": 1, "keep": 1} if pooling else {})
        ctx.set(dut.operands[0], {"act": 3, **flags})
        ctx.set(dut.weights[0], 5)
        for cycle in range(15):
            if ctx.get(dut.drained[0]) == 15:
                changed.append(cycle)
            await ctx.tick()

    simulate(dut, bench, deadline=50)
    assert changed[0] == operand_to_sum(hw) + hw.mux_levels
