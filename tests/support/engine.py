"""An engine for Amaranth's simulator that runs a whole design as two functions, several times as fast as its own.

Amaranth compiles the combinational statements of a module into one process, which runs again whenever a signal changes
that any of them reads, also where another statement of the same process drives it. Here the statements of all modules
are put in the order in which signals depend on each other, so that one pass settles everything; another pass, of the
statements that registers hang on, runs at the clock edge. Benches, triggers, and the order in which both run, are
Amaranth's. For designs of one clock domain that resets synchronously, without prints and properties.
"""

# ruff: noqa: N802  # methods are called on_Signal and so on by what Amaranth's visitors look for

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Cat, Signal
from amaranth.hdl._ast import Assign, Concat, Operator, SignalDict, SignalSet
from amaranth.hdl._mem import MemoryInstance
from amaranth.hdl._xfrm import LHSMaskCollector
from amaranth.sim import pysim
from amaranth.sim._base import BaseProcess
from amaranth.sim._pyrtl import (
    _LHSValueCompiler,
    _PythonEmitter,
    _RHSValueCompiler,
    _StatementCompiler,
    _ValueCompiler,
)

__all__ = ["CompiledEngine"]

COMPARISONS = {"==", "!=", "<", "<=", ">", ">="}
TRUTHS = {"b", "r|", "r&"}


def _truth(value: Any) -> bool:
    """Whether the code of `value` gives a Python bool."""
    if type(value) is not Operator:
        return False
    if value.operator in ("u", "s"):
        return _truth(value.operands[0]) and _exact(value)
    if value.operator in ("&", "|", "^"):
        return all(_truth(operand) for operand in value.operands)
    return value.operator in COMPARISONS or (value.operator in TRUTHS and len(value.operands) == 1)


def _exact(value: Any) -> bool:
    """Whether the code of `value` gives the number itself, not one that is equal in its bits."""
    if type(value) is Operator and value.operator in ("u", "s"):
        (inner,) = value.operands
        return _exact(inner) and inner.shape() == value.shape()
    return True


class _Right(_RHSValueCompiler):  # type: ignore[misc]
    """Code of values: as Amaranth's, without masks around what needs none. `name` says how a signal is read."""

    def __init__(self, state: Any, emitter: Any, name: Callable[[Any], str], rrhs: Any = None) -> None:
        super().__init__(state, emitter, mode="curr", rrhs=rrhs)
        self.name = name

    def on_Signal(self, value: Any) -> str:
        return self.name(value)

    def operand(self, value: Any) -> str:
        """The number that `value` is; True for 1."""
        if _exact(value):
            return str(self(value))
        masked = f"({(1 << len(value)) - 1:#x} & {self(value)})"
        return f"sign({masked}, {-1 << (len(value) - 1):#x})" if value.shape().signed else masked

    def bits(self, value: Any) -> str:
        """The bits of `value` as a number that is not negative."""
        if _exact(value) and not value.shape().signed:
            return self.sign(value)
        return f"({(1 << len(value)) - 1:#x} & {self(value)})"

    def sign(self, value: Any) -> str:
        """The number that `value` is, an int."""
        return f"(1 & {self(value)})" if _truth(value) else self.operand(value)

    def on_Operator(self, value: Any) -> str:
        operator = value.operator
        if len(value.operands) == 2:
            left, right = map(self.operand, value.operands)
            if operator in ("//", "%"):
                return f"{'zdiv' if operator == '//' else 'zmod'}({left}, {right})"
            return f"({left} {operator} {right})"
        (inner,) = value.operands
        if operator == "~" and not value.shape().signed:
            return f"({(1 << len(value)) - 1:#x} ^ {self.bits(inner)})"
        if operator in "~-":
            return f"({operator}{self.operand(inner)})"
        if operator in ("b", "r|"):
            return f"(0 != {self.bits(inner)})"
        if operator == "r&":
            return f"({(1 << len(inner)) - 1} == {self.bits(inner)})"
        return str(super().on_Operator(value))

    def on_Slice(self, value: Any) -> str:
        inner = value.value
        whole = value.stop == len(inner) and _exact(inner) and not inner.shape().signed
        code = f"({self.bits(inner) if whole else self(inner)} >> {value.start})" if value.start else self(inner)
        return f"{code}" if whole and value.start else f"({(1 << len(value)) - 1:#x} & {code})"

    def on_Concat(self, value: Any) -> str:
        parts, offset = [], 0
        for part in value.parts:
            parts.append(f"({self.bits(part)} << {offset})" if offset else self.bits(part))
            offset += len(part)
        return f"({' | '.join(parts)})" if parts else "0"

    def on_SwitchValue(self, value: Any) -> str:
        chosen: str = self.emitter.gen_var("chosen")

        def case(patterns: Any, element: Any) -> None:
            self.emitter.append(f"{chosen} = {self.sign(element)}")

        self.emitter.append(f"{chosen} = 0")
        switch(self, value.test, value.cases, case)
        return chosen


def switch(right: _Right, test: Any, cases: Sequence[Any], handler: Callable[..., None]) -> None:
    """A switch as a chain of conditions where each is of one bit, as If and Mux make them; others as Amaranth's."""
    parts = test.parts if type(test) is Concat else (test,)
    places = [_place(patterns, len(parts)) for patterns, *_ in cases]
    if any(len(part) != 1 for part in parts) or None in places:
        name = right.emitter.def_var("test", right.bits(test))
        right._emit_switch(name, cases, handler)
        return
    codes = {place: right.operand(parts[place]) for place, _ in places if place >= 0}  # type: ignore[misc]
    word = "if"
    for (place, polarity), case in zip(places, cases, strict=True):  # type: ignore[misc]
        condition = codes[place] if place >= 0 else "True"
        right.emitter.append(f"{word} {'' if polarity else 'not '}{condition}:")
        with right.emitter.indent():
            handler(*case)
        word = "elif"


def _place(patterns: Any, bits: int) -> tuple[int, bool] | None:
    """The one bit that `patterns` ask for, and its value; -1 for none; None when they ask for more."""
    if patterns is None:
        return -1, True
    if len(patterns) != 1 or len(patterns[0]) != bits:
        return None
    asked = [i for i, bit in enumerate(reversed(patterns[0])) if bit != "-"]
    if len(asked) > 1:
        return None
    return (asked[0], patterns[0][bits - 1 - asked[0]] == "1") if asked else (-1, True)


class _Left(_LHSValueCompiler):  # type: ignore[misc]
    """Code of assignments: `name` of what is read of a signal that is assigned in part, `put` emits the assignment."""

    def __init__(self, right: _Right, name: Callable[[Any], str], put: Callable[[Any, str], None]) -> None:
        super().__init__(right.state, right.emitter, rhs=right)
        self.lrhs = _Right(right.state, right.emitter, name, right)
        self.put = put

    def on_Signal(self, value: Any) -> Callable[[str], None]:
        mask, lowest = (1 << len(value)) - 1, -1 << max(len(value) - 1, 0)

        def assign(code: str) -> None:
            self.put(value, f"sign({mask:#x} & {code}, {lowest})" if value.shape().signed else f"{mask:#x} & {code}")

        return assign

    def on_SwitchValue(self, value: Any) -> Callable[[str], None]:
        def assign(code: str) -> None:
            switch(self.rrhs, value.test, value.cases, lambda patterns, element: self(element)(code))

        return assign


class _Statements(_StatementCompiler):  # type: ignore[misc]
    """Code of statements, of assignments to the signals `only` where there are some."""

    def __init__(self, right: _Right, left: _Left, only: Any = None) -> None:
        self.state, self.emitter, self.rhs, self.lhs, self.only = right.state, right.emitter, right, left, only

    def on_statements(self, statements: Any) -> None:
        for statement in statements:
            self(statement)
        self.emitter.append("pass")

    def on_Assign(self, statement: Any) -> None:
        target, value = statement.lhs, statement.rhs
        if self.only is not None and not any(signal in self.only for signal in _driven([statement])):
            return
        if type(target) is Signal and _fits(value, target):
            self.lhs.put(target, self.rhs.sign(value))
        else:
            self.lhs(target)(self.rhs.sign(value))

    def on_Switch(self, statement: Any) -> None:
        if self.only is not None and not any(signal in self.only for signal in _driven([statement])):
            return
        switch(self.rhs, statement.test, statement.cases, lambda patterns, inner, source: self(inner))

    def on_Print(self, statement: Any) -> None:
        raise NotImplementedError

    def on_Property(self, statement: Any) -> None:
        raise NotImplementedError


def _fits(value: Any, target: Any) -> bool:
    """Whether every number that `value` can be is one that `target` can be."""
    given, place = value.shape(), target.shape()
    if given.signed:
        return bool(place.signed and given.width <= place.width)
    return bool(given.width <= place.width - place.signed)


def _masks(statements: Any) -> Any:
    collector = LHSMaskCollector()
    collector.visit_stmt(statements)
    return collector.lhs


def _driven(statements: Any) -> Iterator[Any]:
    return iter(_masks(statements))


@dataclass(eq=False)
class _Group:
    """Statements, and reads of memories, that drive `signals`, and all that do."""

    signals: list[Any]
    statements: list[Any] = field(default_factory=list)
    reads: list[tuple[Any, Any]] = field(default_factory=list)
    only: bool = False
    #: Indices of the signals of other groups, and of its own, that it reads; its code.
    needs: set[int] = field(default_factory=set)
    inputs: set[int] = field(default_factory=set)
    code: str = ""


class _State(pysim._PyEngineState):  # type: ignore[misc]
    """Amaranth's, which finds a signal at once that it was asked for before."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[int, tuple[Any, Any]] = {}

    def signal(self, signal: Any) -> Any:
        """The state of `signal`."""
        known = self.found.get(id(signal))
        if known is None:
            known = self.found[id(signal)] = (self.slots[self.get_signal(signal)], signal)
        return known[0]


class _Design:
    """The code of a design: `settle` for its combinational part, `edge` for its registers."""

    def __init__(self, state: _State, fragment: Any) -> None:
        self.state = state
        self.combs: list[_Group] = []
        self.syncs: list[Any] = []
        self.driver: Any = SignalDict()
        self.masks: Any = SignalDict()
        self.domain: Any = None
        self._collect(fragment)
        self._union()
        self.groups = self._ordered()

    def _collect(self, fragment: Any) -> None:
        memory = isinstance(fragment, MemoryInstance)
        ports = (*fragment._read_ports, *fragment._write_ports) if memory else ()
        for name in {*fragment.statements, *(port._domain for port in ports)}:
            statements = fragment.statements.get(name, ())
            if name == "comb":
                self.combs += [_Group(list(_driven([one])), [one]) for one in statements]
                self.combs += [
                    _Group(list(port._data._lhs_signals()), reads=[(fragment._data, port)])
                    for port in (fragment._read_ports if memory else ())
                    if port._domain == name
                ]
                continue
            domain = fragment.domains[name]
            if self.domain not in (None, domain) or domain.async_reset or domain.clk_edge != "pos":
                raise NotImplementedError("designs of one clock domain that resets synchronously")
            self.domain = domain
            self.syncs.append((statements, fragment if memory else None))
        for inner, *_ in fragment.subfragments:
            self._collect(inner)

    def _union(self) -> None:
        """Make one group of all that drive one signal."""
        groups: Any = SignalDict()
        for group in self.combs:
            for one in group.statements:
                for signal, mask in _masks(one).items():
                    self.masks[signal] = self.masks.get(signal, 0) | mask
            for _, port in group.reads:
                collector = LHSMaskCollector()
                collector.visit_value(port._data, ~0)
                for signal, mask in collector.lhs.items():
                    self.masks[signal] = self.masks.get(signal, 0) | mask
            merged = _Group([])
            others = {id(groups[signal]): groups[signal] for signal in group.signals if signal in groups}
            for other in (*others.values(), group):
                merged.statements += other.statements
                merged.reads += other.reads
                merged.signals += [signal for signal in other.signals if all(signal is not s for s in merged.signals)]
            for signal in merged.signals:
                groups[signal] = merged
        self.combs = list({id(group): group for group in groups.values()}.values())
        for signal in self.masks:
            self.state.slots[self.state.get_signal(signal)].is_comb = True

    def _ordered(self) -> list[list[_Group]]:
        """Groups in the order in which they settle; what hangs on itself together.

        Where groups hang on each other they are parted, signal by signal: the statements of a state machine drive many.
        """
        for group in self.combs:
            self._compile(group)
        parts: list[_Group] = []
        for knot in _knots(self.combs, self.state):
            if len(knot) == 1 and not _own(knot[0], self.state):
                parts += knot
                continue
            for group in knot:
                parts += [_Group([s], group.statements, group.reads, only=True) for s in group.signals]
        for group in parts:
            if group.only:
                self._compile(group)
        return _knots(parts, self.state)

    def _compile(self, group: _Group) -> None:
        state, emitter = self.state, _PythonEmitter()

        def read(signal: Any) -> str:
            index = state.get_signal(signal)
            if signal in self.masks:
                group.needs.add(index)
                return f"v{index}"
            group.inputs.add(index)
            return f"s{index}.curr"

        def put(signal: Any, code: str) -> None:
            emitter.append(f"n{state.get_signal(signal)} = {code}")

        right = _Right(state, emitter, read)
        left = _Left(right, lambda signal: f"n{state.get_signal(signal)}", put)
        only = SignalSet(group.signals) if group.only else None
        compiler = _Statements(right, left, only)
        statements = _last(group) if len(group.signals) == 1 and not group.only else group.statements
        if only is not None:
            statements = [one for one in statements if any(signal in only for signal in _driven([one]))]
        begun: Any = SignalDict((signal, None) for signal in _driven(statements))
        begun.update((signal, None) for _, port in group.reads for signal in port._data._lhs_signals())
        for signal in begun:
            index, mask = state.get_signal(signal), self.masks[signal]
            if not _whole(signal, mask):
                group.inputs.add(index)
                emitter.append(f"n{index} = s{index}.curr & {~mask} | {signal.init & mask}")
            elif not (statements and _plain(statements[0], signal)):
                emitter.append(f"n{index} = {signal.init}")
        for one in statements:
            compiler(one)
        for memory, port in group.reads:
            index = state.get_memory(memory)
            group.inputs.add(index)
            address = emitter.def_var("address", right.bits(port._addr))
            data = emitter.def_var("data", f"s{index}.data[{address}] if {address} < {memory.depth} else 0")
            left(port._data)(data)
        for signal in group.signals:
            index = state.get_signal(signal)
            emitter.append(f"v{index} = s{index}.curr = n{index}")
        group.code = emitter.flush()

    def settle(self, changed: frozenset[int] | None = None) -> Callable[[], None]:
        """The function that settles what hangs on the signals and memories `changed`, or everything."""
        lines: list[str] = []
        fresh: set[int] = set()
        wanted: set[int] = set()
        for knot in self.groups:
            outputs = {self.state.get_signal(signal) for group in knot for signal in group.signals}
            reads = {index for group in knot for index in group.needs}
            if changed is not None and not any(group.inputs & changed for group in knot) and not reads & fresh:
                continue
            loop = len(knot) > 1 or _own(knot[0], self.state)
            for index in sorted(reads - wanted - (set() if loop else outputs)):
                lines.append(f"v{index} = s{index}.curr")
            wanted |= reads | outputs
            fresh |= outputs
            code = "".join(group.code for group in knot)
            if not loop:
                lines += code.splitlines()
                continue
            values = ", ".join(f"v{index}" for index in sorted(outputs)) + ","
            lines += ["while True:", f"    before = {values}", *(f"    {line}" for line in code.splitlines())]
            lines.append(f"    if before == ({values}): break")
        return self._function("settle", lines)

    def edge(self) -> Callable[[], None]:
        """The function that computes what registers and memories become at the clock edge."""
        state, emitter = self.state, _PythonEmitter()
        reset: list[tuple[Any, int]] = []

        def put(signal: Any, code: str) -> None:
            index = state.get_signal(signal)
            emitter.append(f"n = {code}")
            emitter.append(f"if n != s{index}.next: s{index}.next = n; add(s{index})")

        right = _Right(state, emitter, lambda signal: f"s{state.get_signal(signal)}.curr")
        left = _Left(right, lambda signal: f"s{state.get_signal(signal)}.next", put)
        compiler = _Statements(right, left)
        for statements, _ in self.syncs:
            for one in statements:
                compiler(one)
            if self.domain.rst is not None:
                reset += [(s, s.init) for s in _driven(statements) if not s.reset_less]
        if reset:
            emitter.append(f"if {right.bits(self.domain.rst)}: reset()")
        for _, memory in self.syncs:
            if memory is not None:
                self._memory(memory, right, left)
        states = [(state.slots[state.get_signal(signal)], init) for signal, init in reset]

        def clear() -> None:
            for slot, init in states:
                slot.update(init)

        return self._function("edge", emitter.flush().splitlines(), add=state.pending.add, reset=clear)

    def _memory(self, fragment: Any, right: _Right, left: _Left) -> None:
        emitter, index, depth = right.emitter, self.state.get_memory(fragment._data), fragment._data.depth
        written = {}
        for place, port in enumerate(fragment._write_ports):
            enable = emitter.def_var("enable", right.bits(Cat(bit.replicate(port._granularity) for bit in port._en)))
            address = emitter.def_var("address", right.bits(port._addr))
            data = emitter.def_var("data", right.bits(port._data))
            emitter.append(f"if {enable}: s{index}.write({address}, {data}, {enable})")
            written[place] = address, data, enable
        for port in fragment._read_ports:
            if port._domain == "comb":
                continue
            emitter.append(f"if {right.operand(port._en)}:")
            with emitter.indent():
                address = emitter.def_var("address", right.bits(port._addr))
                data = emitter.def_var("data", f"s{index}.data[{address}] if {address} < {depth} else 0")
                for place in port._transparent_for:
                    other, value, enable = written[place]
                    emitter.append(f"if {address} == {other}: {data} = {data} & ~{enable} | {value} & {enable}")
                left(port._data)(data)

    def _function(self, name: str, lines: Sequence[str], **more: Any) -> Callable[[], None]:
        body = "".join(f"    {line}\n" for line in lines) or "    pass\n"
        slots = {f"s{i}": slot for i, slot in enumerate(self.state.slots)}
        # What a function reads by its parameters' defaults it need not look up.
        given = {**slots, **more, **_ValueCompiler.helpers}
        text = f"def make({', '.join(given)}):\n  def {name}({', '.join(f'{key}={key}' for key in given)}):\n"
        text += "".join(f"  {line}\n" for line in body.splitlines())
        scope: dict[str, Any] = {}
        exec(compile(f"{text}  return {name}\n", f"<{name}>", "exec"), scope)
        made: Callable[[], None] = scope["make"](**given)
        return made


def _whole(signal: Any, mask: int) -> bool:
    full = (1 << len(signal)) - 1
    return mask & full == full


def _plain(statement: Any, signal: Any) -> bool:
    """Whether `statement` assigns all of `signal`, whatever else is so."""
    return type(statement) is Assign and statement.lhs is signal


def _last(group: _Group) -> list[Any]:
    """The statements of a group of one signal from the last one that assigns all of it; those before mean nothing."""
    first = max((i for i, one in enumerate(group.statements) if _plain(one, group.signals[0])), default=0)
    return group.statements[first:]


def _own(group: _Group, state: _State) -> bool:
    return any(state.get_signal(signal) in group.needs for signal in group.signals)


def _knots(groups: Sequence[_Group], state: _State) -> list[list[_Group]]:
    """`groups` in the order of their needs, as lists of what hangs on each other (Tarjan 1972, without recursion)."""
    maker = {state.get_signal(signal): i for i, group in enumerate(groups) for signal in group.signals}
    needs = [sorted({maker[index] for index in group.needs if index in maker}) for group in groups]
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on: set[int] = set()
    knots: list[list[_Group]] = []
    for root in range(len(groups)):
        if root in order:
            continue
        work = [(root, iter(needs[root]))]
        order[root] = low[root] = len(order)
        stack.append(root)
        on.add(root)
        while work:
            node, rest = work[-1]
            for other in rest:
                if other not in order:
                    order[other] = low[other] = len(order)
                    stack.append(other)
                    on.add(other)
                    work.append((other, iter(needs[other])))
                    break
                if other in on:
                    low[node] = min(low[node], order[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    knot = []
                    while True:
                        other = stack.pop()
                        on.discard(other)
                        knot.append(groups[other])
                        if other == node:
                            break
                    knots.append(knot)
    return knots


class CompiledEngine(pysim.PySimEngine):  # type: ignore[misc]
    """See above; to be given to Amaranth's `Simulator` as its engine."""

    #: Sets of inputs that change together as often as this get a function of what hangs on them.
    OFTEN = 8

    def __init__(self, design: Any) -> None:
        self._design = design
        self._state = _State()
        self._processes: set[BaseProcess] = set()
        self._testbenches: list[Any] = []
        self._delta_cycles = 0
        self._vcd_writers: list[Any] = []
        self._active_triggers: set[Any] = set()
        compiled = self._compiled = _Design(self._state, design.fragment)
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
            yield from map(self._state.signal, _driven(statements))
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
