"""`Node`, an operator of the float network: the rules that each operator's file in `hwprm/graph/ops` gives.

There is no rule that fits whatever comes: an operator that lacks one is refused by name where the rule is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from hwprm.core.errors import ModelError, UnsupportedError
from hwprm.graph.rules.arrays import Array, BoolArray, FloatArray, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import Import
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.stages import Stage

__all__ = ["RULES", "WEIGHTED_RULES", "Channelwise", "Holder", "Node", "Relabelling", "Told", "Weighted"]

#: What every operator has to give, by name, in the order of the flow.
RULES: dict[str, str] = {
    "infer_shape": "the shape that it makes",
    "check": "which inputs fit it",
    "evaluate": "its meaning in float64",
    "holder": "which parameters training finds in it",
    "compute": "its torch computation",
    "constants": "which of its channels are constant",
    "links": "which channels its own are made of, hence what is read and what stays together",
    "cut": "what it is with fewer channels",
    "quantised": "what layers of the accelerator it becomes",
    "imports": "the torch.export calls that mean it",
    "offered": "what to call it where something else is refused",
    "replaces": "unsupported operators that it can stand for, and how",
    "told": "how reports list it",
    "describe": "what reports call it",
}
#: What an operator with a weight matrix has to give as well.
WEIGHTED_RULES: dict[str, str] = {
    "fold": "how constants that it reads go into its biases",
    "channels_read": "which columns of its matrix belong to which channel",
}


class Holder(Enum):
    """The parameters that a torch module holds for a node."""

    NONE = "none"  #: nothing
    WEIGHTS = "weights"  #: ``weight`` and ``bias``, both trained
    NORM = "norm"  #: those and the statistics ``mean`` and ``var``, as torch's batch norm keeps them


class Told(Enum):
    """How a list of a network's steps shows an operator."""

    WEIGHTED = "weighted"  #: a step of its own, a layer with weights
    JOINED = "joined"  #: a step of its own, where branches meet
    PLAIN = "plain"  #: a step of its own
    FOLLOWING = "following"  #: in one line with the step that it alone follows
    HIDDEN = "hidden"  #: like that, and not worth a word: it only relabels


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One operator. `name` is unique in its graph and names the tensor it makes; `inputs` are such names.

    Arrays among the fields are parameters; every other field is plain JSON. Tensors of torch and torch itself are
    handed in where they are needed, so that graphs do without torch.
    """

    name: str
    inputs: tuple[str, ...]

    #: Which parameters training finds in it.
    holder: ClassVar[Holder]
    #: What to call it where something else is refused; empty where it is nothing to choose.
    offered: ClassVar[str]
    #: Unsupported operators of torch, by name without overload, that it can stand for, and how.
    replaces: ClassVar[Mapping[str, str]]
    #: How lists of steps show it.
    told: ClassVar[Told]

    @cached_property
    def arrays(self) -> Mapping[str, FloatArray]:
        """Its parameters, by field."""
        return {f.name: value for f in fields(self) if isinstance(value := getattr(self, f.name), np.ndarray)}

    @cached_property
    def not_finite(self) -> tuple[str, ...]:
        """The parameters that hold NaN or infinity. Kept: graphs share nodes, and each looks at all of its own."""
        return tuple(key for key, array in self.arrays.items() if not np.all(np.isfinite(array)))

    def infer_shape(self, *inputs: Shape) -> Shape:
        """Output shape, without the batch, from the input shapes."""
        self._lacks("infer_shape")

    def check(self, inputs: Sequence[Shape]) -> None:
        """Raise ModelError when the node does not fit what it reads, or is no operator at all."""
        self._lacks("check")

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        """Its tensor ``(n, *shape)`` in float64: slow and simple."""
        self._lacks("evaluate")

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        """Its tensor as `torch` computes it. `held` is the module with the parameters that `holder` says, or None."""
        self._lacks("compute")

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        """Which of its channels are the same number everywhere, from the constants and shapes of its inputs."""
        self._lacks("constants")

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        """For each input: which of its channels make which of the node's own."""
        self._lacks("links")

    def cut(self, out: BoolArray, ins: Sequence[BoolArray]) -> Node:
        """The node with the channels `out` ``(C,)`` of its tensor alone, reading those of `ins` of each input."""
        self._lacks("cut")

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        """The stages of an integer network that compute it, one after the other.

        Raises UnsupportedError with the remedy where the accelerator cannot.
        """
        self._lacks("quantised")

    def describe(self) -> str:
        """What it is, in a few words."""
        self._lacks("describe")

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """How it is recognised in a program of torch.export; empty where other calls than its own mean it."""
        raise UnsupportedError(_missing(cls, "imports"))

    # What follows from the rules. Operators whose weights have a say do it their own way.

    def reads(self, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
        """For each input: which of its channels do the channels `need` ``(C,)`` of the node depend on?"""
        links = zip(self.links(shapes), shapes, strict=True)
        return [link.backward(need, shape[0]) for link, shape in links]

    def bond(self, out: BoolArray, ins: Sequence[BoolArray], shapes: Sequence[Shape]) -> None:
        """Keep together, in place, the channels of its tensor and of its inputs that only go together."""
        links = self.links(shapes)
        for link, mask in zip(links, ins, strict=True):
            link.bind(out, mask)
        for link, mask in zip(links, ins, strict=True):
            mask |= link.backward(out, len(mask))

    # Hints: leaving one out costs speed or a refusal, never a number.

    def never_negative(self, inputs: Sequence[bool]) -> bool:
        """Whether its tensor is known to be 0 or more everywhere, when those of its `inputs` are or are not."""
        return False

    def copies(self, shapes: Sequence[Shape]) -> bool:
        """Whether its tensor is known to be that of its only input."""
        return False

    if not TYPE_CHECKING:  # else every misspelt attribute would count as there

        def __getattr__(self, name: str) -> Any:
            if name in RULES:
                self._lacks(name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _lacks(self, rule: str) -> NoReturn:
        raise UnsupportedError(f"{self.name!r}: {_missing(type(self), rule)}")


def _missing(kind: type[Node], rule: str) -> str:
    return (
        f"operator {kind.__name__} has no rule {rule!r}, which says {(RULES | WEIGHTED_RULES)[rule]}; "
        "add it to the operator's file, or use another operator"
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Channelwise(Node):
    """An operator without parameters whose channel c is made of channel c of every input."""

    holder = Holder.NONE

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        return tuple(Links.same(shape[0]) for shape in shapes)

    def cut(self, out: BoolArray, ins: Sequence[BoolArray]) -> Node:
        return self


@dataclass(frozen=True, kw_only=True, eq=False)
class Relabelling(Node):
    """An operator without parameters whose samples are samples of its inputs, in other places."""

    holder = Holder.NONE

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        return Links.constants(self.links(shapes), sources, self.infer_shape(*shapes)[0])

    def cut(self, out: BoolArray, ins: Sequence[BoolArray]) -> Node:
        return self

    def never_negative(self, inputs: Sequence[bool]) -> bool:
        return all(inputs)


@dataclass(frozen=True, kw_only=True, eq=False)
class Weighted(Node):
    """An operator with a weight matrix ``(M, ...)`` and a bias ``(M,)``, which pruning makes smaller."""

    weight: FloatArray
    bias: FloatArray

    holder = Holder.WEIGHTS
    told = Told.WEIGHTED

    @property
    def balanced(self) -> bool:
        """Whether its filters, and the channels it reads, must stay as many in each of several parts."""
        return False

    def check_bias(self) -> None:
        """Raise ModelError unless there is one bias for each filter."""
        if self.bias.shape != (len(self.weight),):
            raise ModelError(f"{self.name!r} has {len(self.weight)} filters and a bias of shape {self.bias.shape}")

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        """A filter without weights makes its bias everywhere."""
        silent = np.logical_not(self.weight.reshape(len(self.bias), -1).any(axis=1))
        return Constants.where(silent, self.bias.astype(np.float64))

    def fold(self, source: Constants, shape: Shape) -> Weighted:
        """The operator with the constants of its input of `shape` in its biases, where that is exact."""
        self._lacks("fold")

    def channels_read(self, used: BoolArray, channels: int) -> BoolArray:
        """``(channels,)``: which channels of the input the weights `used` ``(M, K)`` of the matrix read."""
        self._lacks("channels_read")

    def reads(self, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
        matrix = self.weight.reshape(len(self.bias), -1)
        return [self.channels_read((matrix != 0) & need[:, None], shapes[0][0])]

    def bond(self, out: BoolArray, ins: Sequence[BoolArray], shapes: Sequence[Shape]) -> None:
        """A layer without weights that has to stay (its constant is needed) still has to read a channel."""
        if not ins[0].any():
            ins[0][0] = True
