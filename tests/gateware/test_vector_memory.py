"""The vector memory against a flat numpy array."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.gateware.memory.vector_memory import VectorMemory
from hwprm.isa import Hardware
from hwprm.isa.latencies import VECTOR_READ, VECTOR_WRITE
from tests.support.bench import simulate
from tests.support.hardware import hardware


def _present_read(ctx, dut: VectorMemory, hw: Hardware, at: int, choice: int, inside: np.ndarray) -> None:
    """Lane r asks for linear address ``at + r * stride``."""
    stride = hw.strides[choice]
    for r in range(hw.rows):
        ctx.set(dut.words[r], hw.address(at + r * stride).word)
        ctx.set(dut.inside[r], int(inside[r]))
    ctx.set(dut.rotation, hw.address(at).bank)
    ctx.set(dut.stride, choice)


def _present_write(
    ctx, dut: VectorMemory, hw: Hardware, at: int, first: int, last: int, data: np.ndarray, choice: int = 0
) -> None:
    """Lane r goes to linear address ``at + r * store stride``."""
    ctx.set(dut.write, 1)
    ctx.set(dut.write_stride, choice)
    ctx.set(dut.write_at, hw.address(at)._asdict())
    ctx.set(dut.first_lane, first)
    ctx.set(dut.last_lane, last)
    for r in range(hw.rows):
        ctx.set(dut.write_data[r], int(data[r]) & ((1 << hw.act_bits) - 1))


#: Parameters of `Hardware`; designs with both kinds of tensors choose one for every read.
GEOMETRIES = {
    "1-lane": {"rows": 1, "banks": 1, "strides": (0,)},
    "2-lanes": {"rows": 2, "banks": 3, "strides": (1, 2)},
    "4-lanes": {"rows": 4, "banks": 4, "strides": (1, 3)},
    "5-lanes-7-banks": {"rows": 5, "banks": 7, "strides": (1, 2, 3, 6)},
    "8-lanes-9-banks": {"rows": 8, "banks": 9, "strides": (2,)},
    "3-lanes-both-kinds": {"rows": 3, "banks": 4, "strides": (1, 3), "unsigned": True},
    "2-lanes-unsigned": {"rows": 2, "banks": 2, "signed": False, "unsigned": True},
    "4-lanes-apart": {"rows": 4, "banks": 5, "strides": (1,), "store_strides": (2,)},
    "5-lanes-apart-or-not": {"rows": 5, "banks": 7, "strides": (1, 2), "store_strides": (1, 2, 8)},
}


def _meant(values: np.ndarray, unsigned: bool) -> np.ndarray:
    """What signed activations of 6 bits are if their bits stand for something unsigned."""
    return values & 63 if unsigned else values


@pytest.mark.parametrize("pipeline", ["short", "fast"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_random_writes_and_reads(name, pipeline):
    """A read and a write every cycle; a read sees every write of VECTOR_WRITE cycles before."""
    hw = hardware(**GEOMETRIES[name], memory_words=11, act_bits=6, pipeline=pipeline)
    rng = np.random.default_rng(len(name))
    dut, size = VectorMemory(hw), hw.banks * hw.memory_words
    model = np.zeros(size, dtype=np.int64)
    pending: list[tuple[int, np.ndarray, np.ndarray]] = []  # cycle of visibility, addresses, data
    expected: dict[int, np.ndarray] = {}

    async def bench(ctx):
        for cycle in range(300):
            while pending and pending[0][0] <= cycle:
                _, places, data = pending.pop(0)
                model[places] = data
            choice = int(rng.integers(len(hw.strides)))
            stride, inside = hw.strides[choice], rng.random(hw.rows) < 0.8
            at = int(rng.integers(0, size - (hw.rows - 1) * stride))
            touched = at + stride * np.arange(hw.rows)
            unsigned = bool(rng.integers(2)) if hw.mixed else hw.unsigned
            if hw.mixed:
                ctx.set(dut.unsigned, unsigned)
            in_flight = [places for _, places, _ in pending if set(places) & set(touched)]
            _present_read(ctx, dut, hw, at, choice, inside)
            if not in_flight:
                expected[cycle + VECTOR_READ(hw)] = np.where(inside, _meant(model[touched], unsigned), 0)
            ctx.set(dut.write, 0)
            if rng.random() < 0.7:
                first = int(rng.integers(0, hw.rows))
                last = int(rng.integers(first, hw.rows + 1))
                choice = int(rng.integers(len(hw.store_strides)))
                stride = hw.store_strides[choice]
                to = int(rng.integers(0, size - (hw.rows - 1) * stride))
                data = rng.integers(-32, 32, hw.rows)
                _present_write(ctx, dut, hw, to, first, last, data, choice)
                places = to + stride * np.arange(first, last)
                pending.append((cycle + VECTOR_WRITE, places, data[first:last]))
            if cycle in expected:
                assert [ctx.get(lane) for lane in dut.data] == expected[cycle].tolist(), cycle
            await ctx.tick()

    simulate(dut, bench, deadline=1000)
    assert len(expected) > 100


@pytest.mark.parametrize("pipeline", ["short", "fast"])
def test_latencies(pipeline):
    """A written word is seen by addresses VECTOR_WRITE cycles later, and its data VECTOR_READ after that."""
    hw = hardware(rows=2, banks=2, memory_words=4, pipeline=pipeline)
    dut = VectorMemory(hw)
    seen = []

    async def bench(ctx):
        _present_read(ctx, dut, hw, 2, 0, np.ones(2))
        _present_write(ctx, dut, hw, 2, 0, 2, np.array([5, 6]))
        await ctx.tick()
        ctx.set(dut.write, 0)
        for cycle in range(1, 12):
            if [ctx.get(lane) for lane in dut.data] == [5, 6]:
                seen.append(cycle)
            await ctx.tick()

    simulate(dut, bench, deadline=50)
    assert seen[0] == VECTOR_WRITE + VECTOR_READ(hw)


def test_masked_lanes_are_not_written():
    hw = hardware(rows=4, banks=5, memory_words=4)
    dut = VectorMemory(hw)

    async def bench(ctx):
        _present_write(ctx, dut, hw, 3, 0, 4, np.array([1, 2, 3, 4]))
        await ctx.tick()
        _present_write(ctx, dut, hw, 3, 1, 3, np.array([9, 8, 7, 6]))
        await ctx.tick()
        ctx.set(dut.write, 0)
        await ctx.tick().repeat(VECTOR_WRITE)
        _present_read(ctx, dut, hw, 3, 0, np.ones(4))
        await ctx.tick().repeat(VECTOR_READ(hw))
        assert [ctx.get(lane) for lane in dut.data] == [1, 8, 7, 4]

    simulate(dut, bench, deadline=50)
