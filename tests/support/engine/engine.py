"""The engine, as Amaranth's `Simulator` takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from amaranth.hdl import Signal
from amaranth.sim import pysim
from amaranth.sim._base import BaseProcess

from tests.support.engine.design import Design
from tests.support.engine.state import State
from tests.support.engine.translate import driven

__all__ = ["CompiledEngine"]


class CompiledEngine(pysim.PySimEngine):  # type: ignore[misc]
    """See above; to be given to Amaranth's `Simulator` as its engine."""

    #: Sets of inputs that change together as often as this get a function of what hangs on them.
    OFTEN = 8

    def __init__(self, design: Any) -> None:
        self._design = design
        self._state = State()
        self._processes: set[BaseProcess] = set()
        self._testbenches: list[Any] = []
        self._delta_cycles = 0
        self._vcd_writers: list[Any] = []
        self._active_triggers: set[Any] = set()
        compiled = self._compiled = Design(self._state, design.fragment)
        self._clock = self._state.signal(compiled.domain.clk) if compiled.domain else None
        self._registers = {id(slot) for slot in self._driven_slots()}
        self._index = {id(slot): i for i, slot in enumerate(self._state.slots)}
        self._feeding = {index for knot in compiled.groups for group in knot for index in group.inputs}
        self._edge = compiled.edge() if compiled.domain else None
        self._settle = compiled.settle()
        self._cones: dict[frozenset[int], Callable[[], None] | int] = {}
        self._settled = False

    def _driven_slots(self) -> Iterator[Any]:
        for statements, memory in self._compiled.syncs:
            yield from map(self._state.signal, driven(statements))
            if memory is not None:
                yield self._state.slots[self._state.get_memory(memory._data)]
                for port in memory._read_ports:
                    yield from map(self._state.signal, port._data._lhs_signals())

    def get_value(self, expr: Any) -> int:
        if type(expr) is Signal:
            return int(self._state.signal(expr).curr)
        return int(super().get_value(expr))

    def step_design(self) -> None:
        state, clock = self._state, self._clock
        pending = state.pending
        if not self._settled:
            self._settled = True
            self._settle()
        edge = False
        while True:
            if self._active_triggers:
                for trigger in self._active_triggers:
                    trigger.run()
                self._active_triggers.clear()
            if edge:
                self._edge()
                edge = False
            for process in self._processes:
                if process.runnable:
                    process.runnable = False
                    process.run()
            if not pending:
                return
            edge = self._commit(pending, clock)
            self._delta_cycles += 1

    def _commit(self, pending: set[Any], clock: Any) -> bool:
        """Make what is `pending` so, and settle what hangs on it; whether the clock rose."""
        rose = full = False
        inputs = []
        registers, memory = self._registers, pysim._PyMemoryState
        for slot in pending:
            if type(slot) is memory:
                slot.commit()
                full = True
                continue
            new = slot.next
            if slot.curr == new:
                continue
            if slot.wakers:
                pysim._run_wakers(slot.wakers, slot.curr, new)
            slot.curr = new
            if id(slot) in registers:
                full = True
            elif slot is clock:
                rose = new == 1
            else:
                inputs.append(slot)
        pending.clear()
        if full:
            self._settle()
        elif inputs:
            self._settle_inputs(inputs)
        return rose

    def _settle_inputs(self, slots: Sequence[Any]) -> None:
        key = frozenset(self._index.get(id(slot), -1) for slot in slots) & self._feeding
        if not key:
            return
        known = self._cones.get(key, 0)
        if not isinstance(known, int):
            known()
        elif known < self.OFTEN:
            self._cones[key] = known + 1
            self._settle()
        else:
            made = self._cones[key] = self._compiled.settle(key)
            made()
