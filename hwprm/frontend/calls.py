"""The calls of an exported program, as the operators' files see them; see `hwprm.graph.rules.imports`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from hwprm.frontend.values import Activation, Value, as_array
from hwprm.frontend.walk import Handler, Walk
from hwprm.graph import OPERATORS, Node
from hwprm.graph.rules.arrays import FloatArray, Quad, Shape
from hwprm.graph.rules.imports import Import, Make, RefusalError, Source

__all__ = ["check_axis", "imported", "shape_of"]


def imported() -> Iterator[tuple[Import, Handler]]:
    """What the operators say how they are recognised, each with a handler of its calls."""
    for kind in OPERATORS.values():
        for entry in kind.imports():
            yield entry, _handler(entry.make)


def shape_of(node: torch.fx.Node) -> Shape:
    """Shape of an argument, batch included."""
    return tuple(node.meta["val"].shape)


def check_axis(shape: Shape, dim: int, problem: str, remedy: str) -> None:
    """Raise RefusalError unless `dim` is the channel axis of a map or vector of `shape`, batch included."""
    if len(shape) not in (2, 4) or dim % len(shape) != 1:
        raise RefusalError(f"{problem} axis {dim} of {shape}", remedy)


def _handler(make: Make) -> Handler:
    def handler(walk: Walk, node: torch.fx.Node, args: Mapping[str, Any]) -> Value:
        made: Value = make(_Call(walk, node, args))
        return made

    return handler


class _Call:
    """A `Call` of `node` with the arguments `args`, met on `walk`."""

    def __init__(self, walk: Walk, node: torch.fx.Node, args: Mapping[str, Any]) -> None:
        self.walk = walk
        self.node = node
        self.args = args

    @property
    def target(self) -> str:
        return str(self.node.target)

    @property
    def made(self) -> Shape:
        return shape_of(self.node)

    def shape(self, key: str) -> Shape:
        return shape_of(self.args[key])

    def source(self, key: str, *, padded: bool = False) -> Source:
        return self.walk.activation(self.args[key], padded=padded)

    def constant(self, key: str, what: str) -> FloatArray:
        return as_array(self.walk.constant(self.args[key], what))

    def sources(self, key: str) -> tuple[str, ...]:
        return tuple(self.walk.activation(part).name for part in self.args[key])

    def check_axis(self, key: str, problem: str, remedy: str) -> None:
        value = self.args[key]
        check_axis(shape_of(value[0] if isinstance(value, list | tuple) else value), self.args["dim"], problem, remedy)

    def never_negative(self, name: str) -> bool:
        return self.walk.never_negative(name)

    def name(self, owned: str | None = None) -> str:
        if owned is None:
            return self.walk.plain_name(self.node)
        return self.walk.layer_name(self.node, self.args[owned])

    def add(self, node: Node, padding: Quad = (0, 0, 0, 0)) -> Activation:
        return self.walk.add(node, padding)

    def stands_for(self, source: Source) -> Source:
        return source
