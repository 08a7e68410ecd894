"""What drives the same signals, and the order in which groups of it hang on each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.engine.state import State

__all__ = ["Group", "knots"]


@dataclass(eq=False)
class Group:
    """Statements, and reads of memories, that drive `signals`, and all that do."""

    signals: list[Any]
    statements: list[Any] = field(default_factory=list)
    reads: list[tuple[Any, Any]] = field(default_factory=list)
    only: bool = False
    #: Indices of the signals of other groups, and of its own, that it reads; its code.
    needs: set[int] = field(default_factory=set)
    inputs: set[int] = field(default_factory=set)
    code: str = ""


def knots(groups: Sequence[Group], state: State) -> list[list[Group]]:
    """`groups` in the order of their needs, as lists of what hangs on each other (Tarjan 1972, without recursion)."""
    maker = {state.get_signal(signal): i for i, group in enumerate(groups) for signal in group.signals}
    needs = [sorted({maker[index] for index in group.needs if index in maker}) for group in groups]
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on: set[int] = set()
    knots: list[list[Group]] = []
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
