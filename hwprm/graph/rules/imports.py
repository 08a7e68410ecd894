"""How an operator is recognised in a program of torch.export, told without torch: names and a function of a `Call`.

`hwprm.frontend` walks the program and makes the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hwprm.graph.rules.arrays import FloatArray, IntArray, Pair, Quad, Shape

__all__ = ["NO_BATCH", "Call", "Import", "Imported", "Make", "RefusalError", "Source", "pair"]

#: Problem and remedy of an operator on maps that reads something else.
NO_BATCH = ("its input has no batch dimension", "export with an input (batch, C, H, W)")


class RefusalError(Exception):
    """Raised by whatever converts an operator; the walk turns it into a finding and goes on."""

    def __init__(self, problem: str, remedy: str, at: tuple[str, str] | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        #: The call that is at fault, its name and its operator, where it is another one than that which is converted.
        self.at = at


class Source(Protocol):
    """A tensor that depends on the image."""

    @property
    def name(self) -> str:
        """The node that makes it."""

    @property
    def padding(self) -> Quad:
        """Zero padding ahead of use, which whoever reads it has to take in."""


#: What an import returns: what the call's result stands for.
Imported = Any


class Call(Protocol):
    """One call of an exported program. Arguments go by the names of torch's schema, defaults filled in."""

    @property
    def target(self) -> str:
        """The operator, as torch.export writes it."""

    @property
    def args(self) -> Mapping[str, Any]:
        """The arguments; tensors among them are opaque."""

    @property
    def made(self) -> Shape:
        """Shape of the result, batch included."""

    def shape(self, key: str) -> Shape:
        """Shape of the tensor `key`, batch included."""

    def source(self, key: str, *, padded: bool = False, last: bool = False) -> Source:
        """The tensor `key`; a sequence (batch, C, T) is a map (batch, C, 1, T). Raises RefusalError when it is a
        constant, or zero-padded unless `padded`. With `last` the last axis holds its channels.
        """

    def samples(self, key: str, *, zeros: bool) -> Source:
        """The tensor that `key` shows the samples of, maybe in other places, for whoever treats all samples alike:
        `add` the result `like` it. `zeros`: whether a zero stays a zero.
        """

    def entries(self, key: str) -> tuple[str, IntArray | None]:
        """The vector that `key` takes its entries from, and their numbers from 1 on (0 is a zero), None for all."""

    def constant(self, key: str, what: str) -> FloatArray:
        """The tensor `key`, which the image does not change. Raises RefusalError, about its `what`, when it does."""

    def size(self, name: str) -> int:
        """How many samples the tensor of node `name` has."""

    def never_negative(self, name: str) -> bool:
        """Whether the tensor of node `name` is known to be 0 or more everywhere."""

    def name(self, owned: str | None = None) -> str:
        """A free name: the path of the module that owns the constant `owned`, else the exported node's."""

    def add(self, node: Any, *, like: Source | None = None) -> Imported:
        """Put the `Node` `node` into the graph; its tensor is the result, in the places of `like`."""

    def stands_for(self, source: Source) -> Imported:
        """The result is the tensor `source` itself."""


Make = Callable[[Call], Imported]


@dataclass(frozen=True, kw_only=True)
class Import:
    """Calls of `targets` (``aten.relu.default``) are converted by `make`.

    Some may work in place: `in_place` is what to do where something else reads what they write over. The result of a
    `view` may share the memory of what it reads.
    """

    targets: tuple[str, ...]
    make: Make
    in_place: str | None = None
    view: bool = False


def pair(value: Any, shape: Shape = (), row: int = 1) -> Pair:
    """torch's one-or-two integers: 3, [3] and [3, 3] are all (3, 3). Of sequences, whose `shape` is (batch, C, T), they
    are for the columns of a single row, for which `row` is right.
    """
    numbers = [value] if isinstance(value, int) else list(value)
    if len(shape) == 3 and len(numbers) == 1:
        return (row, numbers[0])
    if len(numbers) not in (1, 2) or not all(isinstance(n, int) for n in numbers):
        raise RefusalError(f"{value!r} is no pair of integers", "use a two-dimensional operator of fixed sizes")
    return (numbers[0], numbers[-1])
