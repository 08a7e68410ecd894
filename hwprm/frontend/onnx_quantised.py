"""Quantised ONNX models: QuantizeLinear and DequantizeLinear, and Quant of QONNX, as Brevitas exports it.

Weights stay what they were rounded to, as floats on their grid; an activation that is quantised is one call of
`rounded`, and what takes it back nothing. Quantisation finds the steps again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.frontend.onnx_calls import OnnxCall
from hwprm.frontend.program import rounded
from hwprm.graph.rules.imports import RefusalError

__all__ = ["DOMAINS", "QUANTISED", "folded"]

#: Domains of such operators beside ONNX's own: onnxruntime's, for 16 bits in old models, and those of QONNX.
DOMAINS: Mapping[str, tuple[str, ...]] = {
    "QuantizeLinear": ("com.microsoft",),
    "DequantizeLinear": ("com.microsoft",),
    "Quant": ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general"),
}

_SAME = "give QuantizeLinear and the DequantizeLinear behind it one scale and one zero point"


def folded(op: str, arrays: list[NDArray[Any] | None], attributes: Mapping[str, Any]) -> NDArray[Any] | None:
    """What a node of this kind makes of constants; None where onnx's own reference knows it."""
    x, scale, *rest = arrays
    assert x is not None and scale is not None  # both are needed inputs
    zero = rest[0] if rest and rest[0] is not None else np.zeros((), x.dtype)
    if op == "Quant":
        assert rest[1] is not None
        low, high = _ends(int(rest[1]), attributes)
        return np.asarray((np.clip(np.rint(x / scale + zero), low, high) - zero) * scale, x.dtype)
    if op != "DequantizeLinear" or attributes.get("block_size", 0):
        return None
    shape = [1] * x.ndim
    if scale.size > 1:
        shape[attributes.get("axis", 1)] = scale.size
    else:
        shape = []
    numbers = x.astype(np.float64) - zero.astype(np.float64).reshape(shape if zero.size > 1 else [])
    if x.dtype.itemsize == 1 and (numbers.min(initial=0) < -128 or numbers.max(initial=0) > 127):
        raise RefusalError(
            "its weights need more than 8 bits once their zero point is taken off",
            "quantise weights symmetrically (onnxruntime: weight_type=QuantType.QInt8)",
        )
    return np.asarray(numbers * scale.astype(np.float64).reshape(shape), np.float32)


def _quantize(call: OnnxCall) -> Any:
    step, zero = _one(call, 1, "scale"), 0.0
    kind = np.dtype(np.uint8)
    if call.has(2):
        kind, zero = call.known(2, "zero point").dtype, _one(call, 2, "zero point")
    if kind.kind not in "iu" or kind.itemsize > 2:
        raise RefusalError(f"it makes numbers of the type {kind}", "quantise to integers of 8 or 16 bits")
    ends = np.iinfo(kind)
    return _rounded(call, step, int(zero), (int(ends.min), int(ends.max)))


def _dequantize(call: OnnxCall) -> Any:
    source: Any = call.item(0)
    made = source
    while made.target is not rounded:
        if made.op == "placeholder" or not made.all_input_nodes:
            raise RefusalError("it reads integers that no QuantizeLinear made", "export the model with float inputs")
        made = made.all_input_nodes[0]
    step, zero = _one(call, 1, "scale"), _one(call, 2, "zero point") if call.has(2) else 0.0
    if not np.isclose(step, made.args[1], rtol=1e-6) or zero != made.args[2]:
        raise RefusalError(f"it takes back by {step:g} what was divided by {made.args[1]:g}", _SAME)
    return source


def _quant(call: OnnxCall) -> Any:
    bits = _one(call, 3, "bit width")
    if call.get("rounding_mode", "ROUND").upper() not in ("ROUND", "HALF_EVEN", "ROUND_TO_EVEN"):
        raise RefusalError(f"its rounding mode is {call.get('rounding_mode')}", "use ROUND")
    ends = _ends(int(bits), call.attributes)
    return _rounded(call, _one(call, 1, "scale"), int(_one(call, 2, "zero point")), ends)


def _ends(bits: int, attributes: Mapping[str, Any]) -> tuple[int, int]:
    """The smallest and largest integer of a QONNX Quant."""
    signed, narrow = bool(attributes.get("signed", 1)), int(attributes.get("narrow", 0))
    if signed:
        return -(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1 - narrow


def _rounded(call: OnnxCall, step: float, zero: int, ends: tuple[int, int]) -> Any:
    return call(rounded, call.item(0), step, zero, *ends)


def _one(call: OnnxCall, i: int, what: str) -> float:
    array = call.known(i, what)
    if array.size != 1:
        raise RefusalError(f"its {what} has shape {array.shape}", "use one scale for all channels of an activation")
    return float(array.ravel()[0])


QUANTISED: Mapping[str, Callable[[OnnxCall], Any]] = {
    "DequantizeLinear": _dequantize,
    "Quant": _quant,
    "QuantizeLinear": _quantize,
}
