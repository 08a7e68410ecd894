"""Handlers of average pooling in its several spellings, and of clamps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from hwprm.frontend.channels import size
from hwprm.frontend.values import Activation, RefusalError, Value, pair
from hwprm.frontend.walk import Walk
from hwprm.graph import AdaptiveAvgPool2d, AvgPool2d, Clamp, Flatten, MaxPool2d, Relu

__all__ = ["adaptive_avg_pool", "adaptive_max_pool", "avg_pool", "clamp", "mean"]

Args = Mapping[str, Any]


def avg_pool(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """avg_pool2d; zero padding ahead of it is a part of its map, and counts."""
    if args.get("divisor_override") is not None:
        raise RefusalError("it overrides the divisor", "leave divisor_override out, and scale the next layer's weights")
    kernel = pair(args["kernel_size"])
    rows, cols = pair(args["padding"])
    ceil = bool(args["ceil_mode"])
    source = _map(walk, args["self"], padded=not ceil and (rows, cols) == (0, 0))
    return walk.add(
        AvgPool2d(
            name=walk.plain_name(node),
            inputs=(source.name,),
            kernel=kernel,
            stride=pair(args["stride"]) if args["stride"] else kernel,
            padding=source.padding if any(source.padding) else (rows, rows, cols, cols),
            ceil_mode=ceil,
            count_include_pad=bool(args["count_include_pad"]) or any(source.padding),
        )
    )


def adaptive_avg_pool(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """adaptive_avg_pool2d; windows of ``H / out`` side by side where that divides."""
    shape, made = size(args["self"]), size(node)
    out = (made[2], made[3])
    source = _map(walk, args["self"])
    name = walk.plain_name(node)
    if any(n % o for n, o in zip(shape[2:], out, strict=True)):
        return walk.add(AdaptiveAvgPool2d(name=name, inputs=(source.name,), size=out))
    kernel = (shape[2] // out[0], shape[3] // out[1])
    return walk.add(AvgPool2d(name=name, inputs=(source.name,), kernel=kernel, stride=kernel))


def adaptive_max_pool(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """adaptive_max_pool2d to a size that divides the map."""
    shape, out = size(args["self"]), pair(args["output_size"])
    source = _map(walk, args["self"])
    if any(n % o for n, o in zip(shape[2:], out, strict=True)):
        raise RefusalError(
            f"its windows differ in size: {out} does not divide {shape[2:]}", "use an output size that divides the map"
        )
    kernel = (shape[2] // out[0], shape[3] // out[1])
    return walk.add(MaxPool2d(name=walk.plain_name(node), inputs=(source.name,), kernel=kernel, stride=kernel))


def mean(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x.mean((2, 3))``: global average pooling."""
    shape = size(args["self"])
    dims = sorted(dim % len(shape) for dim in args["dim"] or ())
    if len(shape) != 4 or dims != [2, 3]:
        raise RefusalError(f"it averages axes {args['dim']} of {shape}", "average height and width: x.mean((2, 3))")
    kernel = (shape[2], shape[3])
    source = _map(walk, args["self"])
    made = walk.add(AvgPool2d(name=walk.plain_name(node), inputs=(source.name,), kernel=kernel, stride=kernel))
    if args["keepdim"]:
        return made
    return walk.add(Flatten(name=walk.plain_name(node), inputs=(made.name,)))


def clamp(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """ReLU6, hardtanh and clamp with constant ends; one that keeps 0 passes zero padding on."""
    source = walk.activation(args["self"], padded=True)
    low, high = _ends(str(node.target), args)
    if (low or 0) > 0 or (high or 0) < 0:
        source = walk.activation(args["self"])
    name = walk.plain_name(node)
    if (low, high) == (0, None):
        walk.add(Relu(name=name, inputs=(source.name,)))
    else:
        walk.add(Clamp(name=name, inputs=(source.name,), low=low, high=high))
    return Activation(name=name, padding=source.padding)


def _ends(op: str, args: Args) -> tuple[float | None, float | None]:
    """Low and high end of a clamp; None where it is open."""
    if "relu6" in op:
        return 0.0, 6.0
    low, high = ("min_val", "max_val") if "hardtanh" in op else ("min", "max")
    ends = _number(args.get(low)), _number(args.get(high))
    if ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
        raise RefusalError(f"its low end {ends[0]} is above its high end {ends[1]}", "swap the two")
    return ends


def _number(value: Any) -> float | None:
    """An end of a clamp; None where it is open."""
    if value is not None and not isinstance(value, int | float):
        raise RefusalError("its ends are tensors", "clamp to two numbers")
    return None if value is None or math.isinf(value) else float(value)


def _map(walk: Walk, source: Any, *, padded: bool = False) -> Activation:
    value = walk.activation(source, padded=padded)
    if len(size(source)) != 4:
        raise RefusalError("its input has no batch dimension", "export with an input (batch, C, H, W)")
    return value
