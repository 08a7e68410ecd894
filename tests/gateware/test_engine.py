"""The benches' own simulation engine against Amaranth's, cycle by cycle."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from amaranth.hdl import Array, Cat, ClockDomain, DriverConflict, Elaboratable, Module, Mux, Signal, signed, unsigned
from amaranth.lib.memory import Memory
from amaranth.sim import Simulator

from tests.support.engine import CompiledEngine
from tests.support.rounds import long_round


class _Design(Elaboratable):
    """Statements at random: two modules with inputs, registers, wires in any order, and a memory."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.inputs = [self._signal(f"in{i}") for i in range(4)]
        self.registers = [self._signal(f"reg{i}", init=rng.getrandbits(3)) for i in range(6)]
        self.wires = [self._signal(f"wire{i}", init=rng.getrandbits(2)) for i in range(14)]
        self.known: list[Any] = [*self.inputs, *self.registers]

    def _signal(self, name: str, init: int = 0) -> Any:
        bits = self.rng.choice((1, 1, 1, 2, 3, 5, 8))
        sign = bits > 1 and self.rng.random() < 0.4
        return Signal(signed(bits) if sign else unsigned(bits), name=name, init=init & (1 << bits - sign) - 1)

    def value(self, depth: int = 3) -> Any:
        """An expression of what is known so far."""
        rng = self.rng
        if depth == 0 or rng.random() < 0.15:
            return rng.choice(self.known)
        a, b = self.value(depth - 1), self.value(depth - 1)
        part = rng.randrange(len(a))
        makers: list[Callable[[], Any]] = [
            *(lambda a=a, b=b, f=f: f(a, b) for f in _BINARY),
            *(lambda a=a, f=f: f(a) for f in _UNARY),
            lambda: Cat(a, b),
            lambda: a[part : part + rng.randint(1, len(a) - part)],
            lambda: Mux(b, a, b),
            lambda: Cat(a).bit_select(b.as_unsigned()[:3], 2),  # beyond the end of others Amaranth's engine shows ones
            lambda: Array([a, b, a])[b.as_unsigned()[:2]],
            lambda: a << b.as_unsigned()[:2],
            lambda: a >> b.as_unsigned()[:2],
        ]
        return rng.choice(makers)()

    def condition(self) -> Any:
        """A value of one bit or more, as conditions are."""
        value = self.value()
        return value.bool() if value.shape().signed else value

    def assign(self, m: Any, domain: Any, target: Any, depth: int = 2) -> None:
        """Statements that drive `target`, all of it or a part, under conditions or not."""
        kind = self.rng.randrange(6) if depth else 0
        if kind == 0:
            domain += target.eq(self.value())
        elif kind == 1:
            start = self.rng.randrange(len(target))
            domain += target[start : self.rng.randint(start + 1, len(target))].eq(self.value())
        elif kind == 2:
            domain += target.eq(self.value(1))
            domain += target.bit_select(self.value(1).as_unsigned()[:2], 1).eq(self.value(1))
        elif kind == 3:
            with m.If(self.condition()):
                self.assign(m, domain, target, depth - 1)
            with m.Elif(self.condition()):
                self.assign(m, domain, target, depth - 1)
            with m.Else():
                self.assign(m, domain, target, depth - 1)
        elif kind == 4:
            with m.Switch(Cat(*(self.value(1) for _ in range(3)))[:3]):
                for case in (0, 1, (2, 5)):
                    with m.Case(*case if isinstance(case, tuple) else (case,)):
                        self.assign(m, domain, target, depth - 1)
                with m.Default():
                    self.assign(m, domain, target, depth - 1)
        else:
            domain += Array([target, Signal(4)])[self.value().as_unsigned()[:1]].eq(self.value())

    def elaborate(self, platform: Any) -> Any:
        rng, top, inner = self.rng, Module(), Module()
        memory = Memory(shape=unsigned(5), depth=6, init=[rng.getrandbits(5) for _ in range(6)])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        late = memory.read_port(transparent_for=(write,) if rng.random() < 0.5 else ())
        top.submodules += [inner, memory]
        self.known += [read.data, late.data]
        top.d.comb += [read.addr.eq(self.registers[0]), late.addr.eq(self.value(1)), late.en.eq(self.value(1))]
        for wire in self.wires:  # each reads those before it
            m = rng.choice((top, inner))
            self.assign(m, m.d.comb, wire)
            self.known.append(wire)
        for register in self.registers:
            m = rng.choice((top, inner))
            self.assign(m, m.d.sync, register)
        top.d.comb += [write.addr.eq(self.value(1)), write.data.eq(self.value()), write.en.eq(self.value(1))]
        return top


_BINARY: tuple[Callable[[Any, Any], Any], ...] = (
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a & b,
    lambda a, b: a | b,
    lambda a, b: a ^ b,
    lambda a, b: a == b,
    lambda a, b: a < b,
    lambda a, b: a >= b,
    lambda a, b: a // b,
    lambda a, b: a % b,
)
_UNARY: tuple[Callable[[Any], Any], ...] = (
    lambda a: ~a,
    lambda a: -a,
    lambda a: a.any(),
    lambda a: a.all(),
    lambda a: a.xor(),
    lambda a: a.bool(),
    lambda a: a.as_signed(),
    lambda a: a.as_unsigned(),
    lambda a: abs(a),
)


def _trace(design: Any, engine: Any, inputs: list[Any], shown: list[Any], cycles: int, reset: Any = None) -> list[Any]:
    """What all of `shown` are in every cycle: before the edge, and as each input has changed."""
    rng, trace = random.Random(0), []

    async def bench(ctx: Any) -> None:
        for cycle in range(cycles):
            for signal in rng.sample(inputs, rng.randint(0, len(inputs))):
                ctx.set(signal, rng.getrandbits(len(signal)))
                trace.append([ctx.get(one) for one in shown])
            if reset is not None:
                ctx.set(reset, cycle % 13 == 12)
            trace.append(list(await ctx.tick().sample(*shown))[2:])

    simulator = Simulator(design, engine=engine)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return trace


@pytest.mark.parametrize("seed", long_round(range(300), quick=12))
def test_random_designs(seed: int) -> None:
    traces = []
    for engine in ("pysim", CompiledEngine):
        design = _Design(seed)
        traces.append(_trace(design, engine, design.inputs, [*design.wires, *design.registers], cycles=30))
    assert traces[0] == traces[1]


def test_reset_and_registers_without() -> None:
    traces = []
    for engine in ("pysim", CompiledEngine):
        m, step = Module(), Signal(4)
        count, free = Signal(8, init=3), Signal(8, init=5, reset_less=True)
        m.domains.sync = domain = ClockDomain()
        m.d.sync += [count.eq(count + step), free.eq(free + step)]
        traces.append(_trace(m, engine, [step], [count, free], 60, domain.rst))
    assert traces[0] == traces[1]
    assert len({row[0] for row in traces[1]}) > 10


def test_signals_of_one_statement_that_hang_on_each_other() -> None:
    """A state machine drives what another statement makes its own input of; two statements each drive half a signal."""
    traces = []
    for engine in ("pysim", CompiledEngine):
        m = Module()
        go, ready, valid, taken, half, both = (
            Signal(name=n) for n in ("go", "ready", "valid", "taken", "half", "both")
        )
        pair = Signal(2)
        with m.FSM() as machine:
            with m.State("IDLE"):
                m.d.comb += ready.eq(half)
                with m.If(go & taken):
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += valid.eq(1)
                with m.If(taken):
                    m.next = "IDLE"
        m.d.comb += [taken.eq(ready | valid & go), half.eq(go | machine.ongoing("RUN"))]
        m.d.comb += [pair[0].eq(go ^ taken), pair[1].eq(~pair[0] & valid), both.eq(pair.all())]
        traces.append(_trace(m, engine, [go], [ready, valid, taken, half, both, pair], 40))
    assert traces[0] == traces[1]
    assert all(len({row[i] for row in traces[1]}) > 1 for i in range(4))


def test_what_drives_itself_settles() -> None:
    """Bits of one signal, each of the one before it, are a loop of the signal and none of its bits."""
    traces = []
    for engine in ("pysim", CompiledEngine):
        m, start, chain = Module(), Signal(), Signal(6)
        m.d.comb += [chain[i + 1].eq(~chain[i]) for i in reversed(range(5))]
        m.d.comb += chain[0].eq(start)
        m.d.sync += Signal().eq(start)  # benches wait for a clock
        traces.append(_trace(m, engine, [start], [chain], 20))
    assert traces[0] == traces[1]
    assert {row[0] for row in traces[1]} == {0b101010, 0b010101}


def test_what_is_driven_is_not_set() -> None:
    m, a, b = Module(), Signal(), Signal()
    m.d.comb += b.eq(a)
    m.d.sync += Signal().eq(b)
    with pytest.raises(DriverConflict):
        _trace(m, CompiledEngine, [b], [a], 5)
