"""Nearest upsampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwprm.graph.rules.arrays import Array, Pair, Shape
from hwprm.graph.rules.imports import Call, Import, Imported, RefusalError
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.node import Relabelling, Told
from hwprm.graph.rules.stages import Repeated, Stage
from hwprm.graph.rules.text import sizes
from hwprm.graph.rules.windows import needs_map

__all__ = ["Upsample"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Upsample(Relabelling):
    """Nearest neighbour by integers: every pixel fills ``factors[0]`` rows and ``factors[1]`` columns."""

    factors: Pair

    offered = "nearest upsampling"
    replaces = {
        "conv_transpose2d": "use nearest upsampling and a conv2d instead",
        **dict.fromkeys(
            ("upsample_bicubic2d", "upsample_bilinear2d", "upsample_linear1d"),
            "use nearest upsampling of maps by whole numbers: Upsample(scale_factor=2, mode='nearest')",
        ),
    }
    told = Told.PLAIN

    def infer_shape(self, *inputs: Shape) -> Shape:
        c, h, w = inputs[0]
        return (c, h * self.factors[0], w * self.factors[1])

    def check(self, inputs: Sequence[Shape]) -> None:
        needs_map("upsampling", self.name, inputs[0])

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        return inputs[0].repeat(self.factors[0], axis=2).repeat(self.factors[1], axis=3)

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return inputs[0].repeat_interleave(self.factors[0], 2).repeat_interleave(self.factors[1], 3)

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        return (Links.same(shapes[0][0]),)

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (Repeated(factors=self.factors),)

    def describe(self) -> str:
        return f"upsampling {sizes(self.factors)}"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """What a decomposed upsampling indexes is recognised in `hwprm.frontend.places`."""
        names = ("_upsample_nearest_exact2d", "upsample_nearest2d")
        targets = tuple(f"aten.{name}.{overload}" for name in names for overload in ("default", "vec"))
        return (Import(targets=targets, make=_upsample),)


def _upsample(call: Call) -> Imported:
    """Nearest upsampling to a multiple of the map's height and width."""
    key = "input" if "input" in call.args else "self"
    before, after = call.shape(key), call.made
    # A scale that is no whole number may still give a multiple, but picks other pixels.
    listed = call.args.get("scale_factors") or (call.args.get("scales_h"), call.args.get("scales_w"))
    given = [scale for scale in listed if scale is not None]
    if any(scale != int(scale) for scale in given) or any(n % o for o, n in zip(before[2:], after[2:], strict=True)):
        raise RefusalError(
            f"it makes {after[2:]} of {before[2:]}", "scale height and width by whole numbers (mode='nearest')"
        )
    source, factors = call.source(key), (after[2] // before[2], after[3] // before[3])
    if factors == (1, 1):
        return call.stands_for(source)
    return call.add(Upsample(name=call.name(), inputs=(source.name,), factors=factors))
