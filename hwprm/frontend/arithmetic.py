"""Handlers of sums, differences and products, and of arithmetic with constants, which is a fixed batch norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwprm.frontend.places import index_of
from hwprm.frontend.values import Activation, Value, as_array
from hwprm.frontend.walk import Walk, shape_of
from hwprm.graph import Add, Multiply
from hwprm.graph.rules.arrays import Array
from hwprm.graph.rules.imports import RefusalError

__all__ = [
    "add",
    "affine",
    "constant_of",
    "divide",
    "multiplied",
    "multiply",
    "negate",
    "reverse_subtract",
    "same_places",
    "scaled",
    "subtract",
    "summed",
    "varies",
]

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
    """``x * y``, where one of them may be a constant, or a gate: one number for all pixels of a channel."""
    factors = (args["self"], args["other"])
    moving = [factor for factor in factors if varies(walk, factor)]
    if len(moving) == 2:
        return multiplied(walk, node, [walk.activation(x) for x in moving], [shape_of(x) for x in moving])
    other = factors[1] if moving[0] is factors[0] else factors[0]
    return affine(walk, node, moving[0], constant_of(walk, other, "operand"), 0.0)


def divide(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x / c`` for a constant c."""
    if args.get("rounding_mode") is not None or varies(walk, args["other"]):
        raise RefusalError("it rounds, or divides by what depends on the image", "divide by constants only")
    divisor = constant_of(walk, args["other"], "operand")
    if not divisor.all():
        raise RefusalError("it divides by zero", "divide by a number that is not 0")
    return affine(walk, node, args["self"], 1 / divisor, 0.0)


def negate(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``-x``."""
    return affine(walk, node, args["self"], -1.0, 0.0)


def scaled(walk: Walk, node: torch.fx.Node, value: Activation, factor: float) -> Activation:
    """`value` times `factor`, in its places."""
    channels = walk.draft.shapes[value.name][0]
    name = _fixed(walk, node, value.name, np.full(channels, factor), np.zeros(channels))
    return Activation(name=name, index=value.index, view=value.view)


def affine(walk: Walk, node: torch.fx.Node, x: torch.fx.Node, scale: Array | float, shift: Array | float) -> Activation:
    """``x * scale + shift``, which may be numbers for each channel, in the places of `x`.

    Raises RefusalError when the constants make the tensor larger, or differ within a channel.
    """
    value, shape = walk.activation(x), shape_of(x)
    full = [_full(array, shape) for array in (scale, shift)]
    padded = value.index is not None and not value.index.all()
    if padded and full[1].any():
        value = Activation(name=walk.place(x).name)
    try:
        arrays = [_per_channel(walk, value, array, shape[1:]) for array in full]
    except RefusalError:
        if value.index is None and walk.draft.shapes[value.name] == shape[1:]:
            raise
        value = Activation(name=walk.place(x).name)
        arrays = [_per_channel(walk, value, array, shape[1:]) for array in full]
    return Activation(name=_fixed(walk, node, value.name, *arrays), index=value.index, view=value.view)


def summed(walk: Walk, node: torch.fx.Node, values: list[Activation]) -> Activation:
    """The sum of tensors of one shape in the same places."""
    name = walk.draft.put(Add(name=walk.plain_name(node), inputs=tuple(value.name for value in values)))
    return Activation(name=name, index=values[0].index, view=values[0].view)


def varies(walk: Walk, operand: Any) -> bool:
    """Whether an operand depends on the image."""
    return isinstance(operand, torch.fx.Node) and isinstance(walk.values.get(operand.name), Activation)


def constant_of(walk: Walk, operand: Any, what: str) -> Array:
    """The constant `operand`, a number or a tensor, as float64."""
    if isinstance(operand, int | float):
        return np.asarray(operand, np.float64)
    return as_array(walk.constant(operand, what).to(torch.float64))


def _sum(walk: Walk, node: torch.fx.Node, *parts: tuple[Any, float]) -> Value:
    """The sum of two operands times their factors."""
    moving = [part for part in parts if varies(walk, part[0])]
    if len(moving) == 1:
        (x, factor), (constant, other) = moving[0], parts[0] if moving[0] is parts[1] else parts[1]
        return affine(walk, node, x, factor, constant_of(walk, constant, "operand") * other)
    wanted = shape_of(node)
    values = [walk.activation(x) if factor == 1 else affine(walk, node, x, factor, 0.0) for x, factor in moving]
    shapes = [shape_of(x) for x, _ in moving]
    a, b = values
    if shapes[0] == shapes[1] and walk.draft.shapes[a.name] == walk.draft.shapes[b.name] and same_places(a, b):
        return summed(walk, node, values)
    names = [_broadcast(walk, node, value, shape, wanted) for value, shape in zip(values, shapes, strict=True)]
    return walk.add(Add(name=walk.plain_name(node), inputs=tuple(names)))


def multiplied(walk: Walk, node: torch.fx.Node, values: list[Activation], shapes: list[tuple[int, ...]]) -> Activation:
    """The product of two tensors of `shapes` that depend on the image."""
    wanted = shape_of(node)
    a, b = values
    if shapes[0] == shapes[1] and walk.draft.shapes[a.name] == walk.draft.shapes[b.name] and same_places(a, b):
        name = walk.draft.put(Multiply(name=walk.plain_name(node), inputs=(a.name, b.name)))
        return Activation(name=name, index=a.index, view=a.view)
    if len(wanted) > 4 and len(shapes[0]) == len(shapes[1]):
        return _in_parts(walk, node, values, shapes)
    pixels = [_one_pixel(walk, value, shape, wanted) for value, shape in zip(values, shapes, strict=True)]
    gate = next((i for i in (1, 0) if pixels[i] is not None), None)
    names = [
        _broadcast(walk, node, value, shape, wanted)
        if i != gate
        else walk.made(
            Activation(name=value.name, index=pixels[i], view=(node.name, str(node.target))), (wanted[1], 1, 1)
        )
        for i, (value, shape) in enumerate(zip(values, shapes, strict=True))
    ]
    return walk.add(Multiply(name=walk.plain_name(node), inputs=tuple(names)))


def _in_parts(walk: Walk, node: torch.fx.Node, values: list[Activation], shapes: list[tuple[int, ...]]) -> Activation:
    """The product of tensors whose channels a view has split into several axes, which are one axis meanwhile."""
    wanted, view = shape_of(node)[1:], (node.name, str(node.target))
    flat = (int(np.prod(wanted[:-2])), *wanted[-2:])
    names = []
    for value, shape in zip(values, shapes, strict=True):
        index = index_of(walk.draft, value, shape[1:])
        gate = shape[-2:] == (1, 1)
        index = np.broadcast_to(index, (*wanted[:-2], *((1, 1) if gate else wanted[-2:])))
        joined = index.reshape(flat[0], *index.shape[-2:])
        names.append(walk.made(Activation(name=value.name, index=joined, view=view), joined.shape))
    made = walk.draft.put(Multiply(name=walk.plain_name(node), inputs=tuple(names)))
    return Activation(name=made, index=1 + np.arange(int(np.prod(wanted))).reshape(wanted), view=view)


def _one_pixel(
    walk: Walk, value: Activation, shape: tuple[int, ...], wanted: tuple[int, ...]
) -> NDArray[np.int64] | None:
    """The places ``(C, 1, 1)`` of a tensor of `shape` that is to be a map of the shape `wanted`, if all pixels of a
    channel are the same: it is not made larger then.
    """
    if len(wanted) != 4 or len(shape) != 4:
        return None
    index = np.broadcast_to(index_of(walk.draft, value, shape[1:]), wanted[1:])
    first = index[:, :1, :1]
    return first if (index == first).all() else None


def same_places(a: Activation, b: Activation) -> bool:
    """Whether two tensors of one shape show samples in the same places."""
    if a.index is None or b.index is None:
        return a.index is b.index
    return np.array_equal(a.index, b.index)


def _broadcast(
    walk: Walk, node: torch.fx.Node, value: Activation, shape: tuple[int, ...], wanted: tuple[int, ...]
) -> str:
    """The tensor of the graph that is `value`, of `shape`, broadcast to the shape `wanted`."""
    if len(shape) != len(wanted):
        raise RefusalError(f"it broadcasts {shape} to {wanted}", "give the operands one shape")
    index = value.index
    if shape != wanted:
        index = np.broadcast_to(index_of(walk.draft, value, shape[1:]), wanted[1:])
    return walk.made(Activation(name=value.name, index=index, view=(node.name, str(node.target))), wanted[1:])


def _full(array: Array | float, shape: tuple[int, ...]) -> Array:
    """A constant as float64 of `shape` without batch. Raises RefusalError when it makes the tensor larger."""
    given = np.asarray(array, np.float64)
    batch = given.shape[0] if given.ndim == len(shape) else 1
    inner = given[0] if given.ndim == len(shape) and batch == 1 else given
    try:
        if batch == 1:
            return np.broadcast_to(inner, shape[1:])
    except ValueError:
        pass
    raise RefusalError(f"it broadcasts {shape} and {given.shape}", "keep the tensor's shape: one constant per channel")


def _per_channel(walk: Walk, value: Activation, array: Array, shape: tuple[int, ...]) -> Array:
    """`array`, of the shape of `value` in torch, as one number for each channel of the tensor that it is made of."""
    base = walk.draft.shapes[value.name]
    first = array.flat[0]
    if (array == first).all():
        return np.full(base[0], first)
    pixels = int(np.prod(base[1:]))
    index = index_of(walk.draft, value, shape)
    inside = index > 0
    channels, numbers = (index[inside] - 1) // pixels, array[inside]
    found = np.zeros(base[0])
    found[channels] = numbers
    if not np.array_equal(found[channels], numbers):
        raise RefusalError("its constant differs from pixel to pixel", "use one constant per channel")
    return found


def _fixed(walk: Walk, node: torch.fx.Node, name: str, scale: Array, shift: Array) -> str:
    """The batch norm ``x * scale + shift``, both ``(C,)``, that training leaves alone."""
    value = node.meta["val"]
    kind = (value if isinstance(value, torch.Tensor) else value[0]).dtype
    if not kind.is_floating_point:
        raise RefusalError(f"it computes with {kind}", "make it a float first: x.float()")
    return walk.draft.affine(node.name, name, scale, shift, kind=np.float64 if kind == torch.float64 else np.float32)
