"""Functions of one number that the accelerator looks up in a table: their meaning in float64, and in torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwprm.graph.rules.arrays import Array

__all__ = ["FUNCTIONS", "Function", "Meaning"]


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """A function of a sample x and of `count` numbers, in numpy and in torch, both of the same arguments.

    `rising`: whether it never falls, so that the maximum of its values is its value of the maximum; `floor`: what it
    never falls below, if that is known. Both are functions of the numbers.
    """

    count: int
    numpy: Callable[..., Array]
    torch: Callable[..., Any]
    rising: Callable[..., bool] = lambda *numbers: False
    floor: Callable[..., float] = lambda *numbers: -math.inf


@dataclass(frozen=True)
class Function:
    """The function `name` of `FUNCTIONS` with its `numbers`."""

    name: str
    numbers: tuple[float, ...] = ()

    @property
    def meaning(self) -> Meaning:
        """What it computes."""
        return FUNCTIONS[self.name]

    def __call__(self, x: Array) -> Array:
        """Its values of float64 `x`, of any shape."""
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(self.meaning.numpy(np.asarray(x, np.float64), *self.numbers), np.float64)

    def compute(self, torch: Any, x: Any) -> Any:
        """Its values of the tensor `x`, as `torch` computes them."""
        return self.meaning.torch(torch, x, *self.numbers)

    @property
    def rising(self) -> bool:
        """Whether it never falls."""
        return self.meaning.rising(*self.numbers)

    @property
    def never_negative(self) -> bool:
        """Whether it is known to be 0 or more everywhere."""
        return self.meaning.floor(*self.numbers) >= 0

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{n:g}' for n in self.numbers)})" if self.numbers else self.name


def _erf(x: Array) -> Array:
    return np.vectorize(math.erf, otypes=[np.float64])(x)  # type: ignore[no-any-return]  # numpy cannot know


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def _softplus(x: Array, beta: float, threshold: float) -> Array:
    scaled = beta * x
    return np.where(scaled > threshold, x, np.logaddexp(0.0, scaled) / beta)


def _gelu(x: Array) -> Array:
    return 0.5 * x * (1.0 + _erf(x / math.sqrt(2)))


def _gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def _elu(x: Array, alpha: float, scale: float, input_scale: float) -> Array:
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0) * input_scale))


def _torch_elu(torch: Any, x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    return torch.ops.aten.elu(x, alpha, scale, input_scale)


def _torch_gelu(approximate: str) -> Callable[..., Any]:
    return lambda torch, x: torch.nn.functional.gelu(x, approximate=approximate)


def _power(x: Array, scale: float, shift: float, exponent: float) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.power(scale * x + shift, exponent), np.float64)


def _odd(exponent: float) -> bool:
    """Whether powers of `exponent` may be negative."""
    return exponent % 2 == 1


def _always(*numbers: float) -> bool:
    return True


def _zero(*numbers: float) -> float:
    return 0.0


#: Every function by name. Numbers come in the order of torch's arguments.
FUNCTIONS: Mapping[str, Meaning] = {
    "sigmoid": Meaning(count=0, numpy=_sigmoid, torch=lambda torch, x: torch.sigmoid(x), rising=_always, floor=_zero),
    "tanh": Meaning(count=0, numpy=np.tanh, torch=lambda torch, x: torch.tanh(x), rising=_always),
    "hardsigmoid": Meaning(
        count=0,
        numpy=lambda x: np.clip(x + 3.0, 0.0, 6.0) / 6.0,
        torch=lambda torch, x: torch.nn.functional.hardsigmoid(x),
        rising=_always,
        floor=_zero,
    ),
    "silu": Meaning(count=0, numpy=lambda x: x * _sigmoid(x), torch=lambda torch, x: torch.nn.functional.silu(x)),
    "hardswish": Meaning(
        count=0,
        numpy=lambda x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0,
        torch=lambda torch, x: torch.nn.functional.hardswish(x),
    ),
    "gelu": Meaning(count=0, numpy=_gelu, torch=_torch_gelu("none")),
    "gelu_tanh": Meaning(count=0, numpy=_gelu_tanh, torch=_torch_gelu("tanh")),
    "mish": Meaning(
        count=0,
        numpy=lambda x: x * np.tanh(np.logaddexp(0.0, x)),
        torch=lambda torch, x: torch.nn.functional.mish(x),
    ),
    "elu": Meaning(
        count=3,
        numpy=_elu,
        torch=_torch_elu,
        rising=lambda alpha, scale, input_scale: alpha >= 0 and scale >= 0 and input_scale >= 0,
    ),
    "softplus": Meaning(
        count=2,
        numpy=_softplus,
        torch=lambda torch, x, beta, threshold: torch.nn.functional.softplus(x, beta, threshold),
        # Above the threshold it is x, which is less: a table of it may fall by one there.
        floor=lambda beta, threshold: 0.0 if beta > 0 and threshold >= 0 else -math.inf,
    ),
    "log_sigmoid": Meaning(
        count=0,
        numpy=lambda x: -np.logaddexp(0.0, -x),
        torch=lambda torch, x: torch.nn.functional.logsigmoid(x),
        rising=_always,
    ),
    "leaky_relu": Meaning(
        count=1,
        numpy=lambda x, slope: np.where(x > 0, x, slope * x),
        torch=lambda torch, x, slope: torch.nn.functional.leaky_relu(x, slope),
        rising=lambda slope: slope >= 0,
        floor=lambda slope: 0.0 if slope <= 0 else -math.inf,
    ),
    "softshrink": Meaning(
        count=1,
        numpy=lambda x, width: x - np.clip(x, -width, width),
        torch=lambda torch, x, width: torch.nn.functional.softshrink(x, width),
        rising=_always,
    ),
    "hardshrink": Meaning(
        count=1,
        numpy=lambda x, width: np.where(np.abs(x) > width, x, 0.0),
        torch=lambda torch, x, width: torch.nn.functional.hardshrink(x, width),
        rising=_always,
    ),
    # (scale * x + shift) ** exponent: with the line in front of it inside, codes need not cover what it adds.
    "power": Meaning(
        count=3,
        numpy=_power,
        torch=lambda torch, x, scale, shift, exponent: torch.pow(scale * x + shift, exponent),
        # Whole powers have numbers below 0 as well.
        rising=lambda scale, shift, exponent: exponent % 1 != 0 and scale * exponent >= 0,
        floor=lambda scale, shift, exponent: -math.inf if _odd(exponent) else 0.0,
    ),
    "sin": Meaning(count=0, numpy=np.sin, torch=lambda torch, x: torch.sin(x)),
    "cos": Meaning(count=0, numpy=np.cos, torch=lambda torch, x: torch.cos(x)),
    "erf": Meaning(count=0, numpy=_erf, torch=lambda torch, x: torch.erf(x), rising=_always),
    "affine": Meaning(
        count=2,
        numpy=lambda x, scale, shift: x * scale + shift,
        torch=lambda torch, x, scale, shift: x * scale + shift,
        rising=lambda scale, shift: scale >= 0,
    ),
    "clamp": Meaning(
        count=2,
        numpy=np.clip,
        torch=lambda torch, x, low, high: torch.clamp(x, low, high),
        rising=_always,
        floor=lambda low, high: low,
    ),
}
