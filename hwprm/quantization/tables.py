"""Tables of layers with functions behind them: which codes they are looked up by, and what they hold. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import ModelError
from hwprm.core.numerics import fill_table, integer_range, table_codes
from hwprm.graph.rules.functions import Function
from hwprm.intnet import Tensor
from hwprm.quantization.lowering.fused import FusedLayer

__all__ = ["tabulated", "told_range"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: Places at which functions are looked at to find where they are flat.
SAMPLES = 4096


def told_range(functions: Sequence[Function], largest: float, step: float) -> float:
    """Up to which absolute value, `largest` at most, arguments make a difference of half a `step` to the result.

    Sigmoid and tanh are flat far from 0: codes that do not go there are finer where it matters.
    """
    if largest == 0 or step == 0:
        return largest
    x = np.linspace(0, largest, SAMPLES)
    needed = 0
    for values in (_composed(functions, x), _composed(functions, -x)):
        differs = np.flatnonzero(np.abs(values - values[-1]) > step / 2)
        needed = max(needed, int(differs[-1]) + 1 if len(differs) else 0)
    return float(x[max(needed, 1)])


def tabulated(
    layer: FusedLayer, codes: Tensor, clamp: tuple[int, int], largest: float, step: float | None = None
) -> tuple[Tensor, IntArray]:
    """The tensor of `layer` and its table, which is looked up by `codes` between the ends of `clamp`.

    `largest` is the largest absolute value of the result on the calibration images: that of its integers, unless
    their `step` is given. Raises
    ModelError when a function has no finite value of a code.
    """

    def function(x: FloatArray) -> FloatArray:
        return _composed(layer.functions, x)

    places = table_codes(codes.bits, codes.signed)
    reached = function(np.arange(clamp[0], clamp[1] + 1, dtype=np.float64) * np.float64(codes.scale))
    if not np.isfinite(reached).all():
        names = " and ".join(str(one) for one in layer.functions)
        raise ModelError(f"layer {layer.name!r}: {names} is not finite everywhere; clamp its input")
    signed = bool(reached.min() < 0)
    scale = (largest or float(np.abs(reached).max()) or 1.0) / integer_range(codes.bits, signed)[1]
    scale = scale if step is None else step
    tensor = replace(codes, scale=scale, signed=signed)
    places = np.clip(places, *clamp)  # codes beyond the clamp never come
    return tensor, fill_table(function, places, codes.scale, scale, tensor.limits)


def _composed(functions: Sequence[Function], x: FloatArray) -> FloatArray:
    for function in functions:
        x = function(x)
    return x
