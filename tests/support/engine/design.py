"""A design as two functions: one settles its combinational part, the other is the clock edge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from amaranth.hdl import Cat
from amaranth.hdl._ast import Assign, SignalDict, SignalSet
from amaranth.hdl._mem import MemoryInstance
from amaranth.hdl._xfrm import LHSMaskCollector
from amaranth.sim._pyrtl import (
    _PythonEmitter,
    _ValueCompiler,
)

from tests.support.engine.groups import Group, knots
from tests.support.engine.state import State
from tests.support.engine.translate import Left, Right, Statements, driven, masks_of

__all__ = ["Design"]


class Design:
    """The code of a design: `settle` for its combinational part, `edge` for its registers."""

    def __init__(self, state: State, fragment: Any) -> None:
        self.state = state
        self.combs: list[Group] = []
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
                self.combs += [Group(list(driven([one])), [one]) for one in statements]
                self.combs += [
                    Group(list(port._data._lhs_signals()), reads=[(fragment._data, port)])
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
                for signal, mask in masks_of(one).items():
                    self.masks[signal] = self.masks.get(signal, 0) | mask
            for _, port in group.reads:
                collector = LHSMaskCollector()
                collector.visit_value(port._data, ~0)
                for signal, mask in collector.lhs.items():
                    self.masks[signal] = self.masks.get(signal, 0) | mask
            merged = Group([])
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

    def _ordered(self) -> list[list[Group]]:
        """Groups in the order in which they settle; what hangs on itself together.

        Where groups hang on each other they are parted, signal by signal: the statements of a state machine drive many.
        """
        for group in self.combs:
            self._compile(group)
        parts: list[Group] = []
        for knot in knots(self.combs, self.state):
            if len(knot) == 1 and not _own(knot[0], self.state):
                parts += knot
                continue
            for group in knot:
                parts += [Group([s], group.statements, group.reads, only=True) for s in group.signals]
        for group in parts:
            if group.only:
                self._compile(group)
        return knots(parts, self.state)

    def _compile(self, group: Group) -> None:
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

        right = Right(state, emitter, read)
        left = Left(right, lambda signal: f"n{state.get_signal(signal)}", put)
        only = SignalSet(group.signals) if group.only else None
        compiler = Statements(right, left, only)
        statements = _last(group) if len(group.signals) == 1 and not group.only else group.statements
        if only is not None:
            statements = [one for one in statements if any(signal in only for signal in driven([one]))]
        begun: Any = SignalDict((signal, None) for signal in driven(statements))
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

        right = Right(state, emitter, lambda signal: f"s{state.get_signal(signal)}.curr")
        left = Left(right, lambda signal: f"s{state.get_signal(signal)}.next", put)
        compiler = Statements(right, left)
        for statements, _ in self.syncs:
            for one in statements:
                compiler(one)
            if self.domain.rst is not None:
                reset += [(s, s.init) for s in driven(statements) if not s.reset_less]
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

    def _memory(self, fragment: Any, right: Right, left: Left) -> None:
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


def _last(group: Group) -> list[Any]:
    """The statements of a group of one signal from the last one that assigns all of it; those before mean nothing."""
    first = max((i for i, one in enumerate(group.statements) if _plain(one, group.signals[0])), default=0)
    return group.statements[first:]


def _own(group: Group, state: State) -> bool:
    return any(state.get_signal(signal) in group.needs for signal in group.signals)
