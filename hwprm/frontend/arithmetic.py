"""Handlers of sums and differences, and of arithmetic with constants, which is a fixed batch norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from hwprm.frontend.calls import shape_of
from hwprm.frontend.values import Activation, Value, as_array
from hwprm.frontend.walk import Walk
from hwprm.graph import Add, BatchNorm, Channels, Upsample
from hwprm.graph.rules.imports import RefusalError

__all__ = ["add", "divide", "multiply", "negate", "reverse_subtract", "subtract"]

Args = Mapping[str, Any]


def add(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x + alpha * y``, where one of them may be a constant."""
    return _sum(walk, node, (args["self"], 1.0), (args["other"], float(args.get("alpha", 1))))


def subtract(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x - alpha * y``, where one of them may be a constant."""
    return _sum(walk, node, (args["self"], 1.0), (args["other"], -float(args.get("alpha", 1))))


def reverse_subtract(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``y - alpha * x``."""
    return _sum(walk, node, (args["other"], 1.0), (args["self"], -float(args.get("alpha", 1))))


def multiply(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x * c`` for a constant c."""
    factors = (args["self"], args["other"])
    moving = [factor for factor in factors if _varies(walk, factor)]
    if len(moving) != 1:
        raise RefusalError(
            "it multiplies two tensors that depend on the image",
            "use sums and concatenations instead; weights of the accelerator are constants",
        )
    other = factors[1] if moving[0] is factors[0] else factors[0]
    return _affine(walk, node, moving[0], _per_channel(walk, other, moving[0], node), None)


def divide(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x / c`` for a constant c."""
    if args.get("rounding_mode") is not None or _varies(walk, args["other"]):
        raise RefusalError("it rounds, or divides by what depends on the image", "divide by constants only")
    divisor = _per_channel(walk, args["other"], args["self"], node)
    if not divisor.all():
        raise RefusalError("it divides by zero", "divide by a number that is not 0")
    return _affine(walk, node, args["self"], 1 / divisor, None)


def negate(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``-x``."""
    return _affine(walk, node, args["self"], -_ones(args["self"]), None)


def _sum(walk: Walk, node: torch.fx.Node, *parts: tuple[Any, float]) -> Value:
    """The sum of two operands times their factors."""
    moving = [part for part in parts if _varies(walk, part[0])]
    if len(moving) == 1:
        (x, factor), (constant, other) = moving[0], parts[0] if moving[0] is parts[1] else parts[1]
        shift = _per_channel(walk, constant, x, node) * other
        return _affine(walk, node, x, _ones(x) * factor, shift)
    sources = tuple(_scaled(walk, node, x, factor) for x, factor in moving)
    return walk.add(Add(name=walk.plain_name(node), inputs=sources))


def _scaled(walk: Walk, node: torch.fx.Node, x: torch.fx.Node, factor: float) -> str:
    """The tensor of a summand times `factor`, broadcast to the shape of the sum."""
    source = walk.activation(x)
    shape, wanted = shape_of(x), shape_of(node)
    if len(shape) != len(wanted):
        raise RefusalError(f"it broadcasts {shape} to {wanted}", "add tensors of one shape")
    if factor != 1:
        source = _affine(walk, node, x, _ones(x) * factor, None)
    if shape[1] != wanted[1]:
        indices = (0,) * wanted[1]
        source = walk.add(Channels(name=walk.plain_name(node), inputs=(source.name,), indices=indices))
    if shape[2:] != wanted[2:]:
        factors = (wanted[2] // shape[2], wanted[3] // shape[3])
        source = walk.add(Upsample(name=walk.plain_name(node), inputs=(source.name,), factors=factors))
    return source.name


def _affine(
    walk: Walk, node: torch.fx.Node, x: torch.fx.Node, scale: torch.Tensor, shift: torch.Tensor | None
) -> Activation:
    """``x * scale + shift``, both ``(C,)``."""
    source = walk.activation(x)
    shift = torch.zeros_like(scale) if shift is None else shift
    kind = node.meta["val"].dtype
    arrays = {"weight": scale, "bias": shift, "mean": torch.zeros_like(scale), "var": torch.ones_like(scale)}
    return walk.add(
        BatchNorm(
            name=walk.plain_name(node),
            inputs=(source.name,),
            **{key: as_array(tensor.to(kind)) for key, tensor in arrays.items()},
            eps=0.0,
            fixed=True,
        )
    )


def _ones(x: torch.fx.Node) -> torch.Tensor:
    return torch.ones(shape_of(x)[1], dtype=torch.float64)


def _varies(walk: Walk, operand: Any) -> bool:
    return isinstance(operand, torch.fx.Node) and isinstance(walk.values.get(operand.name), Activation)


def _per_channel(walk: Walk, operand: Any, x: torch.fx.Node, node: torch.fx.Node) -> torch.Tensor:
    """The constant `operand` as one number for each channel of `x`, float64 ``(C,)``."""
    shape = shape_of(x)
    if isinstance(operand, int | float):
        return _ones(x) * operand
    tensor = walk.constant(operand, "operand").to(torch.float64)
    batch = tensor.shape[0] if tensor.ndim == len(shape) else 1
    if shape_of(node)[1:] != shape[1:] or batch != 1:
        raise RefusalError(
            f"it broadcasts {shape} and {tuple(tensor.shape)}", "keep the tensor's shape: one constant per channel"
        )
    full = tensor.reshape(tensor.shape[1:] if tensor.ndim == len(shape) else tensor.shape).expand(shape[1:])
    rows = full.reshape(shape[1], -1)
    if not torch.equal(rows, rows[:, :1].expand_as(rows)):
        raise RefusalError("its constant differs from pixel to pixel", "use one constant per channel")
    return rows[:, 0]
