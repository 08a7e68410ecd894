"""Fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph.ops.conv2d import Conv2d
from hwprm.graph.rules.arrays import Array, BoolArray, FloatArray, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import Call, Import, Imported, RefusalError
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.node import Weighted
from hwprm.graph.rules.stages import Matrix, Stage

__all__ = ["Linear"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear(Weighted):
    """``y = weight @ x + bias``. weight ``(M, K)``, bias ``(M,)``. Input must be a vector ``(K,)``."""

    weight: FloatArray
    bias: FloatArray

    offered = "linear"
    replaces = {}

    def infer_shape(self, *inputs: Shape) -> Shape:
        return (self.weight.shape[0],)

    def check(self, inputs: Sequence[Shape]) -> None:
        if inputs[0] != (self.weight.shape[1],):
            raise ModelError(f"linear {self.name!r} expects {self.weight.shape[1]} inputs, it reads {inputs[0]}")
        self.check_bias()

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        result: Array = inputs[0] @ self.weight.astype(np.float64).T + self.bias.astype(np.float64)
        return result

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return torch.nn.functional.linear(inputs[0], held.weight, held.bias)

    def fold(self, source: Constants, shape: Shape) -> Weighted:
        bias = self.bias + self.weight.astype(np.float64) @ source.value
        weight: FloatArray = np.where(source.known, 0, self.weight)
        return replace(self, weight=weight.astype(self.weight.dtype), bias=bias.astype(self.bias.dtype))

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        return (Links.none(),)

    def channels_read(self, used: BoolArray, channels: int) -> BoolArray:
        found: BoolArray = np.asarray(used.any(axis=0))
        return found

    def cut(self, out: BoolArray, ins: Sequence[BoolArray]) -> Linear:
        return replace(self, weight=self.weight[out][:, ins[0]], bias=self.bias[out])

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        return (Matrix(weight=np.asarray(self.weight, np.float64), bias=np.asarray(self.bias, np.float64)),)

    def describe(self) -> str:
        return "linear"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        return (
            Import(targets=("aten.linear.default",), make=_linear),
            Import(targets=("aten.addmm.default",), make=_addmm),
            Import(targets=("aten.mm.default", "aten.matmul.default"), make=_mm),
        )


def _linear(call: Call) -> Imported:
    """``linear(input, weight (M, K), bias)``."""
    return _made(call, ("input", "weight", None if call.args["bias"] is None else "bias"), transposed=False)


def _addmm(call: Call) -> Imported:
    """``addmm(bias, input, weight (K, M))``: what linear decomposes to."""
    beta, alpha = call.args["beta"], call.args["alpha"]
    if beta != 1 or alpha != 1:
        raise RefusalError(f"beta is {beta} and alpha {alpha}", "use torch.nn.Linear")
    return _made(call, ("mat1", "mat2", "self"), transposed=True)


def _mm(call: Call) -> Imported:
    """``mm(input, weight (K, M))``: what linear without bias decomposes to."""
    return _made(call, ("self", "mat2" if "mat2" in call.args else "other", None), transposed=True)


def _made(call: Call, keys: tuple[str, str, str | None], *, transposed: bool) -> Imported:
    """The layer of the arguments `keys`: input, weight and bias."""
    weight, shape = call.constant(keys[1], "weight"), call.shape(keys[0])
    if weight.ndim != 2:
        raise RefusalError(f"its weight has shape {weight.shape}", "use torch.nn.Linear")
    weight = np.ascontiguousarray(weight.T) if transposed else weight
    bias = np.zeros(len(weight), weight.dtype) if keys[2] is None else call.constant(keys[2], "bias")
    if bias.shape != (len(weight),):
        raise RefusalError(f"its bias has shape {tuple(bias.shape)}", "use torch.nn.Linear")
    if len(shape) < 2:
        raise RefusalError("its input has no batch dimension", "export with an input (batch, K)")
    name = call.name(keys[1])
    if len(shape) != 2:  # each pixel's channels, which stand in the last axis, by the matrix: a convolution
        source = call.source(keys[0], last=True)
        return call.add(
            Conv2d(name=name, inputs=(source.name,), weight=weight[:, :, None, None], bias=bias), like=source
        )
    vector, entries = call.entries(keys[0])
    if entries is not None:
        # Entries that are read several times, of pixels that are repeated, have one weight: the sum, rounded once.
        moved = np.zeros((len(weight), call.size(vector) + 1))
        np.add.at(moved.T, entries, weight.T.astype(np.float64))
        weight = np.ascontiguousarray(moved[:, 1:].astype(weight.dtype))
    return call.add(Linear(name=name, inputs=(vector,), weight=weight, bias=bias))
