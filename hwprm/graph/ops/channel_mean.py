"""Means over channels, pixel by pixel: what local response norm divides by, and one map made of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph.rules.arrays import Array, BoolArray, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import Import
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.node import Holder, Node, Told
from hwprm.graph.rules.stages import Blended, Kernel, Stage
from hwprm.graph.rules.windows import needs_map

__all__ = ["ChannelMean"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelMean(Node):
    """Channel c is the sum of the channels ``windows[c]`` of the input, pixel by pixel, divided by `divisor`."""

    windows: tuple[tuple[int, ...], ...]
    divisor: int

    holder = Holder.NONE
    offered = "means over channels"
    replaces = {}
    told = Told.PLAIN

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (len(self.windows), *inputs[0][1:])

    def check(self, inputs: Sequence[Shape]) -> None:
        needs_map("mean over channels", self.name, inputs[0])
        wrong = [window for window in self.windows if any(not 0 <= c < inputs[0][0] for c in window)]
        if wrong or self.divisor < 1:
            raise ModelError(
                f"{self.name!r} divides by {self.divisor} and adds channels {wrong} of a tensor {inputs[0]}; number "
                "channels from 0, and divide by 1 or more"
            )

    def matrix(self, channels: int) -> Array:
        """How much channel c of the result has of each of `channels` of the input."""
        made = np.zeros((len(self.windows), channels))
        for c, window in enumerate(self.windows):
            np.add.at(made[c], list(window), 1 / self.divisor)
        return made

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        result: Array = np.tensordot(inputs[0], self.matrix(inputs[0].shape[1]), ([1], [1]))
        return np.moveaxis(result, -1, 1)

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        matrix = torch.from_numpy(self.matrix(inputs[0].shape[1])).to(inputs[0])
        return torch.nn.functional.conv2d(inputs[0], matrix[:, :, None, None])

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        held = self.matrix(shapes[0][0])
        known = np.logical_not((held[:, ~sources[0].known] != 0).any(axis=1))
        return Constants.where(known, held @ sources[0].value)

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        pairs = [(c, source) for c, window in enumerate(self.windows) for source in window]
        out, source = (np.array(side, np.int64) for side in zip(*pairs, strict=True)) if pairs else ([], [])
        return (Links(out=np.asarray(out, np.int64), source=np.asarray(source, np.int64), free=True),)

    def cut(self, out: BoolArray, ins: Sequence[BoolArray]) -> ChannelMean:
        place = np.cumsum(ins[0]) - 1
        kept = [self.windows[c] for c in np.flatnonzero(out)]
        windows = tuple(tuple(int(place[source]) for source in window if ins[0][source]) for window in kept)
        return replace(self, windows=windows)

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (Blended(kernels=(Kernel(weight=self.matrix(shapes[0][0])[:, :, None, None]),)),)

    def describe(self) -> str:
        most = max((len(window) for window in self.windows), default=0)
        return f"mean over {most} channels"

    def never_negative(self, inputs: Sequence[bool]) -> bool:
        return all(inputs)

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """Reductions over a view of channels mean it, see `hwprm.frontend.reductions`."""
        return ()
