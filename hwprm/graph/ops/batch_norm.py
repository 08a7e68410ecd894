"""Batch norm in evaluation mode, and arithmetic with one constant per channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwprm.core.errors import ModelError
from hwprm.graph.rules.arrays import Array, BoolArray, FloatArray, Shape
from hwprm.graph.rules.constants import Constants
from hwprm.graph.rules.imports import Call, Import, Imported, RefusalError
from hwprm.graph.rules.links import Links
from hwprm.graph.rules.node import Holder, Node, Told
from hwprm.graph.rules.stages import Affine, Stage

__all__ = ["BatchNorm"]


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchNorm(Node):
    """Per-channel ``(x - mean) / sqrt(var + eps) * weight + bias``; all arrays ``(C,)``.

    A `fixed` one is arithmetic with constants that the network itself does: training changes nothing of it.
    """

    weight: FloatArray
    bias: FloatArray
    mean: FloatArray
    var: FloatArray
    eps: float = 1e-5
    fixed: bool = False

    holder = Holder.NORM
    offered = "batch_norm (evaluation mode)"
    replaces = dict.fromkeys(
        ("group_norm", "instance_norm", "layer_norm", "native_group_norm", "native_layer_norm"),
        "use batch norm, which folds into the layer before it",
    )
    told = Told.FOLLOWING

    def infer_shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def check(self, inputs: Sequence[Shape]) -> None:
        (shape,) = inputs
        if self.mean.shape != (shape[0],):
            raise ModelError(f"batch norm {self.name!r} has {len(self.mean)} channels, it reads {shape}")
        if not np.all(self.var + self.eps > 0):
            raise ModelError(f"batch norm {self.name!r} has a variance that is not above 0; mend its running_var")

    def evaluate(self, *inputs: Array, shape: Shape) -> Array:
        per_channel = (-1, *[1] * (len(shape) - 1))
        weight, bias, mean, var = (
            np.asarray(a, dtype=np.float64).reshape(per_channel) for a in (self.weight, self.bias, self.mean, self.var)
        )
        result: Array = (inputs[0] - mean) / np.sqrt(var + self.eps) * weight + bias
        return result

    def compute(self, torch: Any, held: Any, *inputs: Any) -> Any:
        return held(inputs[0])

    def constants(self, sources: Sequence[Constants], shapes: Sequence[Shape]) -> Constants:
        """A channel whose weight is 0 is constant whatever it reads."""
        weight, bias = self.weight.astype(np.float64), self.bias.astype(np.float64)
        scale = 1 / np.sqrt(self.var.astype(np.float64) + self.eps)
        value = (sources[0].value - self.mean.astype(np.float64)) * scale * weight + bias
        return Constants.where(sources[0].known | (weight == 0), np.where(weight == 0, bias, value))

    def links(self, shapes: Sequence[Shape]) -> tuple[Links, ...]:
        return (Links.same(len(self.weight)),)

    def reads(self, need: BoolArray, shapes: Sequence[Shape]) -> list[BoolArray]:
        return [np.logical_and(need, self.weight != 0)]

    def cut(self, out: BoolArray, ins: Sequence[BoolArray]) -> BatchNorm:
        arrays = {key: getattr(self, key)[out] for key in ("weight", "bias", "mean", "var")}
        return replace(self, **arrays)

    def scale_and_shift(self) -> tuple[Array, Array]:
        """The pair (a, b), each ``(C,)`` float64, with ``batchnorm(x) = a * x + b`` per channel."""
        mean, var, weight, bias = (np.asarray(v, np.float64) for v in (self.mean, self.var, self.weight, self.bias))
        a = weight / np.sqrt(var + self.eps)
        return a, bias - a * mean

    def quantised(self, shapes: Sequence[Shape]) -> tuple[Stage, ...]:
        scale, shift = self.scale_and_shift()
        return (Affine(scale=scale, shift=shift),)

    def describe(self) -> str:
        return "batch norm"

    @classmethod
    def imports(cls) -> tuple[Import, ...]:
        """Arithmetic with constants makes fixed ones as well, see `hwprm.frontend.arithmetic`."""
        names = ("_native_batch_norm_legit_no_training.default", "_native_batch_norm_legit.default")
        others = ("batch_norm.default", "_native_batch_norm_legit.no_stats", "native_batch_norm.default")
        return (Import(targets=tuple(f"aten.{name}" for name in (*names, *others)), make=_batch_norm),)


def _batch_norm(call: Call) -> Imported:
    """Batch norm in evaluation mode, as exported or decomposed."""
    source = call.source("input")
    if call.args.get("training") or call.args.get("running_mean") is None:
        raise RefusalError(
            "it normalises with the statistics of the batch",
            "call model.eval() before exporting and keep track_running_stats=True",
        )
    mean, var = call.constant("running_mean", "mean"), call.constant("running_var", "variance")
    return call.add(
        BatchNorm(
            name=call.name("running_mean"),
            inputs=(source.name,),
            weight=np.ones_like(mean) if call.args["weight"] is None else call.constant("weight", "weight"),
            bias=np.zeros_like(mean) if call.args["bias"] is None else call.constant("bias", "bias"),
            mean=mean,
            var=var,
            eps=float(call.args["eps"]),
        )
    )
