"""Amaranth's expressions and statements as lines of Python that keep every value in a plain integer."""

# ruff: noqa: N802  # methods are called on_Signal and so on by what Amaranth's visitors look for

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from amaranth.hdl import Signal
from amaranth.hdl._ast import Concat, Operator
from amaranth.hdl._xfrm import LHSMaskCollector
from amaranth.sim._pyrtl import (
    _LHSValueCompiler,
    _RHSValueCompiler,
    _StatementCompiler,
)

__all__ = ["Left", "Right", "Statements", "driven", "masks_of"]

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


class Right(_RHSValueCompiler):  # type: ignore[misc]
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


def switch(right: Right, test: Any, cases: Sequence[Any], handler: Callable[..., None]) -> None:
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


class Left(_LHSValueCompiler):  # type: ignore[misc]
    """Code of assignments: `name` of what is read of a signal that is assigned in part, `put` emits the assignment."""

    def __init__(self, right: Right, name: Callable[[Any], str], put: Callable[[Any, str], None]) -> None:
        super().__init__(right.state, right.emitter, rhs=right)
        self.lrhs = Right(right.state, right.emitter, name, right)
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


class Statements(_StatementCompiler):  # type: ignore[misc]
    """Code of statements, of assignments to the signals `only` where there are some."""

    def __init__(self, right: Right, left: Left, only: Any = None) -> None:
        self.state, self.emitter, self.rhs, self.lhs, self.only = right.state, right.emitter, right, left, only

    def on_statements(self, statements: Any) -> None:
        for statement in statements:
            self(statement)
        self.emitter.append("pass")

    def on_Assign(self, statement: Any) -> None:
        target, value = statement.lhs, statement.rhs
        if self.only is not None and not any(signal in self.only for signal in driven([statement])):
            return
        if type(target) is Signal and _fits(value, target):
            self.lhs.put(target, self.rhs.sign(value))
        else:
            self.lhs(target)(self.rhs.sign(value))

    def on_Switch(self, statement: Any) -> None:
        if self.only is not None and not any(signal in self.only for signal in driven([statement])):
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


def masks_of(statements: Any) -> Any:
    collector = LHSMaskCollector()
    collector.visit_stmt(statements)
    return collector.lhs


def driven(statements: Any) -> Iterator[Any]:
    return iter(masks_of(statements))
