"""Product of two tensors: channel gates of squeeze and excitation, spatial gates, products of branches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwprm.core.errors import ModelError
from hwprm.graph.rules.arrays import Array, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import Import
from hwprm.graph.rules.node import Channelwise, Told
from hwprm.graph.rules.stages import Product, Stage

__all__ = ["Multiply"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Multiply(Channelwise):
    """Product of two tensors of one shape, or of a map and one of as many channels of one pixel, its gate; a tensor
    named twice is squared.
    """

    offered = "products of two tensors"
    replaces = {}
    told = Told.JOINED

    @property
    def squared(self) -> bool:
        """Whether it is the product of a tensor and itself."""
        return len(set(self.inputs)) == 1

    def infer_shape(self, *inputs: Shape) -> Shape:
        return max(inputs, key=lambda shape: shape[1:])

    def check(self, inputs: Sequence[Shape]) -> None:
        if len(inputs) != 2:
            raise ModelError(f"{self.name!r} multiplies {len(inputs)} tensors; give it two")
        full = self.infer_shape(*inputs)
        if any(shape not in (full, (full[0], *(1 for _ in full[1:]))) for shape in inputs):
            raise ModelError(
                f"{self.name!r} multiplies tensors {', '.join(map(str, inputs))}; they need as many channels, and the "
                "same map or one pixel"
            )

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        result: Array = inputs[0] * inputs[1]
        return result

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return inputs[0] * inputs[1]

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        one, other = sources
        value = one.value * other.value  # 0 where either is 0, or not constant
        zero = (one.known & (one.value == 0)) | (other.known & (other.value == 0))
        return Constants.where((one.known & other.known) | zero, value)

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (Product(),)

    def describe(self) -> str:
        return "product"

    def never_negative(self, inputs: Sequence[bool]) -> bool:
        return self.squared or all(inputs)

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """A product is other things as well, see `hwprm.frontend.choices`."""
        return ()
