"""Choice and order of channels: slices, splits, channel shuffles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph.rules.arrays import Array, BoolArray, Shape
from hwprm.graph.rules.imports import Call, Import, Imported
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.node import Relabelling, Told
from hwprm.graph.rules.stages import Picked, Stage

__all__ = ["Channels"]

_WHOLE = "keep the whole tensor, or choose channels only"


@dataclass(frozen=True, kw_only=True, eq=False)
class Channels(Relabelling):
    """Channel ``indices[c]`` of the input is channel c of the output: slices, splits and channel shuffles."""

    indices: tuple[int, ...]

    offered = "channel slices"
    replaces = {"select": "slice instead: x[:, c : c + 1]"}
    told = Told.PLAIN

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (len(self.indices), *inputs[0][1:])

    def check(self, inputs: Sequence[Shape]) -> None:
        if any(not 0 <= c < inputs[0][0] for c in self.indices):
            raise ModelError(f"{self.name!r} takes channels {self.indices} of a tensor {inputs[0]}; number them from 0")

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        return inputs[0][:, list(self.indices)]

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return inputs[0][:, list(self.indices)]

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        return (Links.chosen(self.indices),)

    def cut(self, out: BoolArray, ins: Sequence[BoolArray]) -> Channels:
        place = np.cumsum(ins[0]) - 1
        return replace(self, indices=tuple(int(place[self.indices[c]]) for c in np.flatnonzero(out)))

    def copies(self, shapes: Sequence[Shape]) -> bool:
        return self.indices == tuple(range(shapes[0][0]))

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (Picked(channels=tuple((0, c) for c in self.indices)),)

    def describe(self) -> str:
        return "choice of channels"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """Splits, and shuffles written as views, take more than one call, see `hwprm.frontend.channels`."""
        return (
            Import(targets=("aten.slice.Tensor",), make=_slice, view=True),
            Import(targets=("aten.narrow.default",), make=_narrow, view=True),
            Import(targets=("aten.index_select.default",), make=_index_select),
            Import(targets=("aten.channel_shuffle.default",), make=_channel_shuffle),
        )


def _slice(call: Call) -> Imported:
    """``x[:, start:end:step]``."""
    before, after = call.shape("self"), call.made
    if before[1:] == after[1:]:
        return call.stands_for(call.source("self", padded=True))
    call.check_axis("self", f"it makes {after} of {before} along", _WHOLE)
    return _chosen(call, range(before[1])[call.args["start"] : call.args["end"] : call.args["step"]])


def _narrow(call: Call) -> Imported:
    """``narrow(x, 1, start, length)``."""
    before = call.shape("self")
    call.check_axis("self", f"it makes {call.made} of {before} along", _WHOLE)
    first = call.args["start"] % before[1]
    return _chosen(call, range(first, first + call.args["length"]))


def _index_select(call: Call) -> Imported:
    """``index_select(x, 1, index)`` with a constant index."""
    call.check_axis("self", "it selects along", _WHOLE)
    return _chosen(call, call.constant("index", "index").astype(np.int64).tolist())


def _channel_shuffle(call: Call) -> Imported:
    """``channel_shuffle(x, groups)``: the groups' first channels first, then their second ones, and so on."""
    order = np.arange(call.shape("self")[1]).reshape(call.args["groups"], -1).T
    return _chosen(call, order.ravel().tolist())


def _chosen(call: Call, indices: Sequence[int]) -> Imported:
    """The chosen channels of ``self``; the tensor itself when it is all of them in order."""
    source = call.source("self")
    if list(indices) == list(range(call.shape("self")[1])):
        return call.stands_for(source)
    return call.add(Channels(name=call.name(), inputs=(source.name,), indices=tuple(map(int, indices))))
