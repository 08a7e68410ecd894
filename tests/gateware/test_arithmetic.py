"""Rotations, multiplexers, mixed-radix addition and delays."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.hdl import Cat, Elaboratable, Module, Signal

from hwprm.gateware.primitives.arithmetic import add_mixed, delay, multiplex, rotate_left, rotate_right
from tests.support.bench import simulate
from tests.support.hardware import hardware


class _Wired(Elaboratable):
    """A module made by a function of the module, so that helpers which only build logic can be simulated."""

    def __init__(self, build: Any):
        self._build = build

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._build(m)
        m.d.sync += Signal(name="keeps_the_clock").eq(1)
        return m


@pytest.mark.parametrize("n", range(1, 18))
def test_rotations_and_multiplexer(n):
    items = [Signal(6, name=f"item{i}") for i in range(n)]
    amount = Signal(max(1, (n - 1).bit_length()))
    left, right, chosen = (Signal(size, name=name) for name, size in (("left", 6 * n), ("right", 6 * n), ("chosen", 6)))

    def build(m):
        m.d.comb += left.eq(Cat(*rotate_left(m, items, amount, name="l")))
        m.d.comb += right.eq(Cat(*rotate_right(m, items, amount, name="r")))
        m.d.comb += chosen.eq(multiplex(items, amount))

    async def bench(ctx):
        for i, item in enumerate(items):
            ctx.set(item, 3 * i + 1)
        for k in range(n):
            ctx.set(amount, k)
            unpack = {
                name: [ctx.get(word) >> 6 * j & 63 for j in range(n)] for name, word in (("l", left), ("r", right))
            }
            assert unpack["l"] == [3 * ((j + k) % n) + 1 for j in range(n)]
            assert unpack["r"] == [3 * ((j - k) % n) + 1 for j in range(n)]
            assert ctx.get(chosen) == 3 * k + 1

    simulate(_Wired(build), bench, deadline=10)


@pytest.mark.parametrize("banks", [1, 2, 3, 7, 8])
def test_mixed_radix_sums(banks):
    """Every pair of addresses of a small memory, against linear addition."""
    hw = hardware(rows=1, banks=banks, memory_words=6)
    size = banks << hw.word_bits
    a, b = ([Signal(hw.word_bits), Signal(hw.bank_bits)] for _ in range(2))
    word, bank = Signal(hw.word_bits), Signal(hw.bank_bits)

    def build(m):
        total = add_mixed(m, banks, a, b, name="sum")
        m.d.comb += [word.eq(total[0]), bank.eq(total[1])]

    async def bench(ctx):
        for left in range(size):
            for right in range(0, size, 3):
                for port, value in ((a, hw.address(left)), (b, hw.address(right))):
                    ctx.set(port[0], value.word)
                    ctx.set(port[1], value.bank)
                assert (ctx.get(word), ctx.get(bank)) == hw.address(left + right), (left, right)

    simulate(_Wired(build), bench, deadline=10)


@pytest.mark.parametrize("cycles", [0, 1, 3])
def test_delay(cycles):
    value, out = Signal(4), Signal(4)

    def build(m):
        m.d.comb += out.eq(delay(m, value, cycles, name="late"))

    async def bench(ctx):
        for i in range(1, 12):
            ctx.set(value, i)
            assert ctx.get(out) == max(0, i - cycles)
            await ctx.tick()

    simulate(_Wired(build), bench, deadline=50)
