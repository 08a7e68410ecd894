"""Handlers of means, sums, maxima and minima over axes, of whatever view: pools over the pixels of a channel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from hwprm.frontend.arithmetic import scaled
from hwprm.frontend.choices import larger
from hwprm.frontend.places import index_of
from hwprm.frontend.values import Activation, Index, Value
from hwprm.frontend.views import over_stack
from hwprm.frontend.walk import Walk, shape_of
from hwprm.graph import Add, AvgPool2d, MaxPool2d, Node
from hwprm.graph.rules.arrays import Pair, Shape
from hwprm.graph.rules.imports import RefusalError

__all__ = ["largest", "mean", "smallest", "total"]

Args = Mapping[str, Any]

#: As many tensors are added up, or compared, one by one.
FEW = 16


def mean(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x.mean(axes)``."""
    return _reduced(walk, node, args)


def total(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x.sum(axes)``: the mean times the number of samples."""
    count = math.prod(shape_of(args["self"])[axis] for axis in _axes(args))
    return scaled(walk, node, _reduced(walk, node, args), float(count))


def largest(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x.amax(axes)``, and the values of ``x.max(axis)``."""
    return _reduced(walk, node, args, maximum=True)


def smallest(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``x.amin(axes)``, and the values of ``x.min(axis)``: minus the maximum of ``-x``."""
    negative = scaled(walk, node, walk.activation(args["self"]), -1.0)
    return scaled(walk, node, _reduced(walk, node, args, maximum=True, value=negative), -1.0)


def _axes(args: Args) -> list[int]:
    """The axes of a reduction, from 0; all of them where none is named."""
    count, dim = len(shape_of(args["self"])), args.get("dim")
    listed = [dim] if isinstance(dim, int) else list(dim or range(count))
    return sorted(axis % count for axis in listed)


def _reduced(
    walk: Walk, node: torch.fx.Node, args: Args, *, maximum: bool = False, value: Activation | None = None
) -> Activation:
    """The pool that is the reduction of `value`, or of the argument."""
    source, axes = args["self"], _axes(args)
    if source.name in walk.refused:
        return walk.stand_in(node)
    shape = shape_of(source)
    if over_stack(node):
        shape, axes = (shape[1], shape[0], *shape[2:]), [1]
    what = "takes the maximum of" if maximum else "averages"
    if 0 in axes:
        raise RefusalError(f"it {what} axes {axes} of {shape}, the batch among them", "keep the images apart")
    value = walk.activation(source) if value is None else value
    own = [axis - 1 for axis in axes]
    found = _windows(walk, value, shape[1:], own)
    if found is None and source.name not in walk.refused and value.index is not None and len(shape) in (3, 4):
        # Crops and the like have to be made first.
        value = Activation(name=walk.place(source).name) if value is walk.values.get(source.name) else value
        found = _windows(walk, value, shape[1:], own)
    if found is None and len(own) == 1 and shape[axes[0]] <= FEW:
        return _few(walk, node, value, (shape[1:], own[0]), maximum=maximum, keepdim=bool(args.get("keepdim")))
    if found is None:
        remedy = "average whole rows, columns or maps of a channel: x.mean((2, 3)), and channels with a conv2d"
        raise RefusalError(
            f"it {what} axes {axes} of {shape}", remedy.replace("average", "reduce") if maximum else remedy
        )
    kernel, index = found
    name = walk.plain_name(node)
    pool: Node = AvgPool2d(name=name, inputs=(value.name,), kernel=kernel, stride=kernel)
    if maximum:
        pool = MaxPool2d(name=name, inputs=(value.name,), kernel=kernel, stride=kernel)
    kept = [1 if axis in own else size for axis, size in enumerate(shape[1:])]
    if not args.get("keepdim"):
        kept = [size for axis, size in enumerate(shape[1:]) if axis not in own]
    return Activation(name=walk.draft.put(pool), index=index.reshape(kept), view=(node.name, str(node.target)))


def _few(
    walk: Walk, node: torch.fx.Node, value: Activation, along: tuple[Shape, int], *, maximum: bool, keepdim: bool
) -> Activation:
    """The reduction of a few tensors that lie side by side along an axis of a shape: their sum, or their maximum."""
    shape, axis = along
    view = (node.name, str(node.target))
    index = np.moveaxis(index_of(walk.draft, value, shape), axis, 0)
    if keepdim:
        index = np.expand_dims(index, axis + 1)
    names = [walk.made(Activation(name=value.name, index=part, view=view), part.shape) for part in index]
    if maximum:
        return larger(walk, node, names)
    total = walk.draft.put(Add(name=walk.plain_name(node), inputs=tuple(names))) if len(names) > 1 else names[0]
    return scaled(walk, node, Activation(name=total), 1 / len(names))


def _windows(walk: Walk, value: Activation, shape: Shape, axes: list[int]) -> tuple[Pair, Index] | None:
    """The windows, side by side, that are reduced, and which of them each result is; None when they are no windows."""
    base = walk.draft.shapes[value.name]
    rest = [axis for axis in range(len(shape)) if axis not in axes]
    count = math.prod(shape[axis] for axis in axes)
    index = index_of(walk.draft, value, shape).transpose(rest + axes).reshape(-1, count)
    if len(base) != 3 or not index.all():
        return None
    # By hand: numpy 2.4's unravel_index gets arrays of one column wrong behind their first 8,192 rows.
    channel, pixel = np.divmod(np.sort(index, axis=1) - 1, base[1] * base[2])
    row, col = np.divmod(pixel, base[2])
    kernel = int(row[0, -1] - row[0, 0] + 1), int(col[0, -1] - col[0, 0] + 1)
    if kernel[0] * kernel[1] != count or base[1] % kernel[0] or base[2] % kernel[1]:
        return None
    window = row // kernel[0], col // kernel[1]
    alike = [(part == part[:, :1]).all() for part in (channel, *window)]
    whole = (row % kernel[0] * kernel[1] + col % kernel[1] == np.arange(count)).all()
    if not (all(alike) and whole):
        return None
    high, wide = base[1] // kernel[0], base[2] // kernel[1]
    return kernel, (channel[:, 0] * high + window[0][:, 0]) * wide + window[1][:, 0] + 1
