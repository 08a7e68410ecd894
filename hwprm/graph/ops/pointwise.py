"""Functions of one number that are no clamps: sigmoid, tanh, SiLU, hard-swish, GELU, Mish, ELU, softplus and others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph.rules.arrays import Array, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.functions import FUNCTIONS, Function
from hwprm.graph.rules.imports import Call, Import, Imported, Make, RefusalError
from hwprm.graph.rules.node import Channelwise, Told
from hwprm.graph.rules.stages import Stage, Tabulated

__all__ = ["Pointwise"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pointwise(Channelwise):
    """``function(x)`` of every sample, `function` with its `numbers` being one of `FUNCTIONS`."""

    function: str
    numbers: tuple[float, ...] = ()

    offered = "sigmoid, tanh, SiLU and the like"
    replaces = {}
    told = Told.FOLLOWING

    @property
    def meaning(self) -> Function:
        """The function with its numbers."""
        return Function(self.function, tuple(self.numbers))

    def infer_shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def check(self, inputs: Sequence[Shape]) -> None:
        if self.function not in FUNCTIONS:
            raise ModelError(f"{self.name!r} is of the function {self.function!r}; there are {', '.join(FUNCTIONS)}")
        count = FUNCTIONS[self.function].count
        if len(self.numbers) != count or not np.isfinite(self.numbers).all():
            raise ModelError(f"{self.function} {self.name!r} has the numbers {self.numbers}; give {count} finite ones")

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        return self.meaning(inputs[0])

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return self.meaning.compute(torch, inputs[0])

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        return Constants.where(sources[0].known, self.meaning(sources[0].value))

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (Tabulated(function=self.meaning),)

    def describe(self) -> str:
        return str(self.meaning)

    def never_negative(self, inputs: Sequence[bool]) -> bool:
        return self.meaning.never_negative

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        return tuple(
            Import(targets=tuple(f"aten.{name}{place}.default" for place in ("", "_")), make=make, in_place=_IN_PLACE)
            for name, make in _IMPORTS.items()
        )


_IN_PLACE = "use inplace=False"


def _make(function: Callable[[Call], Function]) -> Make:
    """Whoever makes the node of the function that a call means, of each sample, wherever it stands."""

    def make(call: Call) -> Imported:
        meant = function(call)
        source = call.samples("self", zeros=bool(meant(np.zeros(1))[0] == 0))
        node = Pointwise(name=call.name(), inputs=(source.name,), function=meant.name, numbers=meant.numbers)
        return call.add(node, like=source)

    return make


def _number(call: Call, key: str, default: float) -> float:
    value = call.args.get(key)
    value = default if value is None else value
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise RefusalError(f"its {key} is no finite number", "give it a number")
    return float(value)


def _plain(name: str, **numbers: float) -> Make:
    """`name` with numbers that torch calls like this, and their defaults."""
    return _make(lambda call: Function(name, tuple(_number(call, key, value) for key, value in numbers.items())))


def _gelu(call: Call) -> Function:
    return Function("gelu_tanh" if call.args.get("approximate") == "tanh" else "gelu")


def _celu(call: Call) -> Function:
    alpha = _number(call, "alpha", 1.0)
    if alpha == 0:
        raise RefusalError("its alpha is 0", "use ReLU")
    return Function("elu", (alpha, 1.0, 1 / alpha))


_IMPORTS = {
    **{name: _plain(name) for name in ("sigmoid", "tanh", "silu", "hardswish", "mish", "sin", "cos", "erf")},
    "log_sigmoid": _plain("log_sigmoid"),
    "gelu": _make(_gelu),
    "elu": _plain("elu", alpha=1.0, scale=1.0, input_scale=1.0),
    "selu": _make(lambda call: Function("elu", (1.6732632423543772, 1.0507009873554805, 1.0))),
    "celu": _make(_celu),
    "softplus": _plain("softplus", beta=1.0, threshold=20.0),
    "softshrink": _plain("softshrink", lambd=0.5),
    "hardshrink": _plain("hardshrink", lambd=0.5),
}
