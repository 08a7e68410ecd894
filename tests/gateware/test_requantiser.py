"""Requantisation in gates against `hwprm.core.numerics.requantize`."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.core.numerics import SHIFT_MAX, SHIFT_MIN, requantize, signed_range
from hwprm.gateware.core.requantiser import Requantiser
from hwprm.isa import Hardware
from hwprm.isa.latencies import REQUANTISE, RESIDUAL_PRODUCT
from tests.support.bench import simulate
from tests.support.hardware import hardware


def _through(hw: Hardware, cases: np.ndarray, ends: tuple[int, int], wide: tuple[int, int]) -> np.ndarray:
    """Results ``(n, 2)``, stored and wide, of `cases` ``(n, 4)``: acc, bias, mult, shift; one case a cycle."""
    dut = Requantiser(hw, wide=True)
    results = []

    async def bench(ctx):
        ports = (dut.clamp_low, dut.clamp_high, dut.wide_low, dut.wide_high)
        for port, value in zip(ports, (*ends, *wide), strict=True):
            ctx.set(port, value)
        padded = [*cases.tolist(), *[cases[-1].tolist()] * REQUANTISE(hw)]
        for i, (acc, bias, mult, shift) in enumerate(padded):
            ctx.set(dut.acc, acc)
            ctx.set(dut.param, {"bias": bias, "mult": mult, "shift": shift - hw.shift_min})
            if i >= REQUANTISE(hw):
                results.append((ctx.get(dut.result), ctx.get(dut.wide)))
            await ctx.tick()

    simulate(dut, bench, deadline=len(cases) + 100)
    return np.array(results)


PIPELINES = pytest.mark.parametrize("pipeline", ["short", "fast"])


@PIPELINES
@pytest.mark.parametrize(
    ("signed", "low", "high"), [((True, False), -128, 127), ((True, True), -128, 255), ((False, True), 0, 255)]
)
def test_residuals_come_before_their_sums(signed, low, high, pipeline):
    """total = acc + bias + residual * factor, where residual and factor are presented one cycle before the rest.

    Residuals, and the clamp, are those of designs of one kind of tensors, or of both.
    """
    rng = np.random.default_rng(1)
    widths = {"acc_bits": 12, "sum_bits": 23, "residual_bits": 13, "act_bits": 8, "shift_min": 16, "shift_max": 19}
    hw = hardware(**widths, signed=signed[0], unsigned=signed[1], pipeline=pipeline)
    dut = Requantiser(hw, wide=False)
    cases = np.stack(
        [
            rng.integers(-(1 << 11), 1 << 11, 200),
            rng.integers(-(1 << 18), 1 << 18, 200),
            rng.integers(low, high + 1, 200),
            rng.choice([0, 1, (1 << 13) - 1, 77, 4096], 200),
            rng.integers(0, 1 << 5, 200),
            rng.integers(16, 20, 200),
        ],
        axis=1,
    )
    cases[0, 2:4] = low, (1 << 13) - 1
    cases[1, 2:4] = high, (1 << 13) - 1
    results = []

    async def bench(ctx):
        ctx.set(dut.clamp_low, low)
        ctx.set(dut.clamp_high, high)
        early, last = RESIDUAL_PRODUCT(hw), len(cases) - 1
        for i in range(len(cases) + REQUANTISE(hw) + early):
            ahead, now = cases[min(i, last)].tolist(), cases[max(min(i - early, last), 0)].tolist()
            ctx.set(dut.residual, ahead[2])
            ctx.set(dut.factor, ahead[3])
            ctx.set(dut.acc, now[0])
            ctx.set(dut.param, {"bias": now[1], "mult": now[4], "shift": now[5] - 16, "residual": 5555})
            if i >= REQUANTISE(hw) + early:
                results.append(ctx.get(dut.result))
            await ctx.tick()

    simulate(dut, bench, deadline=300)
    total = cases[:, 0] + cases[:, 1] + cases[:, 2] * cases[:, 3]
    want = requantize(total, cases[:, 4], cases[:, 5], low, high)
    assert [result & 255 for result in results] == (want & 255).tolist() and len(set(results)) > 50


def _assert_equal(hw: Hardware, cases: np.ndarray, ends: tuple[int, int], wide: tuple[int, int]) -> None:
    got = _through(hw, cases, ends, wide)
    total = cases[:, 0] + cases[:, 1]
    for column, (low, high) in enumerate((ends, wide)):
        want = requantize(total, cases[:, 2], cases[:, 3], low, high)
        wrong = np.flatnonzero(want != got[:, column])
        assert not len(wrong), (cases[wrong[0]].tolist(), int(want[wrong[0]]), int(got[wrong[0], column]))


def _edges(hw: Hardware) -> np.ndarray:
    """Extremes and ties for every shift: the total is acc + bias and stays inside the accumulator."""
    low, high = signed_range(hw.acc_bits)
    rows = []
    for shift in range(hw.shift_min, hw.shift_max + 1):
        for mult in (0, 1, (1 << 15) + 1, (1 << 16) - 1):
            totals = {low, low + 1, -1, 0, 1, high - 1, high}
            tie = (1 << shift - 1) // max(mult & -mult, 1)  # mult * tie lies half way where mult is a power of two
            totals |= {t for t in (tie, -tie, 3 * tie, -3 * tie, tie - 1) if low <= t <= high}
            rows += [(total - (total // 3), total // 3, mult, shift) for total in sorted(totals)]
    return np.array(rows, dtype=np.int64)


@PIPELINES
@pytest.mark.parametrize(
    ("acc_bits", "act_bits", "shifts"),
    [(12, 8, (1, 16)), (24, 8, (9, 24)), (46, 16, (SHIFT_MIN, SHIFT_MAX)), (4, 2, (5, 5)), (20, 5, (40, 47))],
    ids=lambda v: str(v).replace(", ", "-"),
)
def test_edges(acc_bits, act_bits, shifts, pipeline):
    hw = hardware(acc_bits=acc_bits, act_bits=act_bits, shift_min=shifts[0], shift_max=shifts[1], pipeline=pipeline)
    cases = _edges(hw)
    _assert_equal(hw, cases, signed_range(act_bits), signed_range(32))


@PIPELINES
def test_random_values_and_narrow_clamps(pipeline):
    rng = np.random.default_rng(0)
    hw = hardware(acc_bits=22, act_bits=8, shift_min=14, shift_max=23, pipeline=pipeline)
    total = rng.integers(-(1 << 21), 1 << 21, 400)
    bias = rng.integers(-(1 << 19), 1 << 19, 400)
    acc = np.clip(total, -(1 << 21) + (1 << 19), (1 << 21) - 1 - (1 << 19)) - bias // 2
    cases = np.stack([acc, bias // 2, rng.integers(0, 1 << 16, 400), rng.integers(14, 24, 400)], axis=1)
    _assert_equal(hw, cases, (0, 100), (-500, 70_000))


def test_ties_go_up():
    """-0.5 -> 0, 0.5 -> 1, 1.5 -> 2, -1.5 -> -1."""
    hw = hardware(shift_min=1, shift_max=2)
    cases = np.array([(-1, 0, 1, 1), (1, 0, 1, 1), (3, 0, 1, 1), (-3, 0, 1, 1), (-6, 0, 1, 2), (6, 0, 1, 2)])
    assert _through(hw, cases, (-128, 127), (-128, 127))[:, 0].tolist() == [0, 1, 2, -1, -1, 2]


@PIPELINES
def test_latency(pipeline):
    """A single value among zeros comes out after REQUANTISE cycles, and only then."""
    hw = hardware(shift_min=1, pipeline=pipeline)
    dut = Requantiser(hw, wide=False)
    seen = []

    async def bench(ctx):
        ctx.set(dut.clamp_low, -128)
        ctx.set(dut.clamp_high, 127)
        ctx.set(dut.acc, 40)
        ctx.set(dut.param, {"bias": 2, "mult": 2, "shift": 0})
        await ctx.tick()
        ctx.set(dut.acc, 0)
        ctx.set(dut.param, {"bias": 0, "mult": 2, "shift": 0})
        for cycle in range(1, 12):
            if ctx.get(dut.result):
                seen.append((cycle, ctx.get(dut.result)))
            await ctx.tick()

    simulate(dut, bench, deadline=50)
    assert seen == [(REQUANTISE(hw), 42)]
