"""Handlers of means, sums, maxima and minima over axes, of whatever view: pools over the pixels of a channel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from hwprm.frontend.arithmetic import scaled
from hwprm.frontend.choices import larger
from hwprm.frontend.places import index_of, whole_channels
from hwprm.frontend.values import Activation, Index, Value
from hwprm.frontend.views import over_stack
from hwprm.frontend.walk import Walk, shape_of
from hwprm.graph import Add, AvgPool2d, ChannelMean, MaxPool2d, Node
from hwprm.graph.rules.arrays import IntArray, Pair, Shape
from hwprm.graph.rules.imports import RefusalError

__all__ = ["across", "largest", "mean", "smallest", "total"]

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


def across(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """An average pool over neighbouring channels, which stand in an axis of their own: that of local response norm."""
    shape = shape_of(args["self"])
    kernel = _triple(args["kernel_size"])
    stride, padding = _triple(args.get("stride") or kernel), _triple(args.get("padding") or 0)
    plain = not args.get("ceil_mode") and args.get("divisor_override") is None and args.get("count_include_pad", True)
    over = kernel[1:] == stride[1:] == (1, 1) and padding[1:] == (0, 0)
    value = walk.activation(args["self"])
    channels = whole_channels(walk.draft, value) if len(shape) == 5 and shape[1] == 1 else None
    if not (plain and over and channels is not None and len(channels) == shape[2]):
        raise RefusalError(f"it averages over windows {kernel} of {shape}", "average over rows and columns of maps")
    padded = [-1] * padding[0] + channels + [-1] * padding[0]
    starts = range(0, len(padded) - kernel[0] + 1, stride[0])
    windows = [padded[i : i + kernel[0]] for i in starts]
    return _channel_mean(walk, node, value.name, windows, kernel[0])


def _triple(given: Any) -> tuple[int, ...]:
    listed = [given] if isinstance(given, int) else list(given)
    return tuple(listed * 3 if len(listed) == 1 else listed)


def _channel_mean(
    walk: Walk, node: torch.fx.Node, source: str, windows: Sequence[Sequence[int]], divisor: int
) -> Activation:
    """The mean over the `windows` of channels of `source`, -1 being a channel of zeros."""
    held = tuple(tuple(c for c in window if c >= 0) for window in windows)
    pool = ChannelMean(name=walk.plain_name(node), inputs=(source,), windows=held, divisor=divisor)
    return Activation(name=walk.draft.put(pool), view=(node.name, str(node.target)))


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
    placed = len(shape) in (3, 4) and not over_stack(node)  # of a stack, the tensors are read one by one
    if found is None and source.name not in walk.refused and value.index is not None and placed:
        # Crops and the like have to be made first.
        value = Activation(name=walk.place(source).name) if value is walk.values.get(source.name) else value
        found = _windows(walk, value, shape[1:], own)
    if found is None and len(own) == 1:
        along = shape[1:], own[0]
        if shape[axes[0]] <= FEW:
            return _few(walk, node, value, along, maximum=maximum, keepdim=bool(args.get("keepdim")))
        channels = whole_channels(walk.draft, Activation(name=value.name, index=_front(walk, value, *along)))
        if channels is not None:
            many = _largest_of if maximum else _mean_of
            made = many(walk, node, value.name, np.reshape(channels, (shape[axes[0]], -1)))
            index = np.arange(1, math.prod(walk.draft.shapes[made]) + 1).reshape(_left(shape[1:], own, args))
            return Activation(name=made, index=index, view=(node.name, str(node.target)))
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
    kept = _left(shape[1:], own, args)
    return Activation(name=walk.draft.put(pool), index=index.reshape(kept), view=(node.name, str(node.target)))


def _front(walk: Walk, value: Activation, shape: Shape, axis: int) -> Index:
    """The index of `value`, of `shape`, with `axis` in front."""
    return np.moveaxis(index_of(walk.draft, value, shape), axis, 0)


def _left(shape: Shape, axes: list[int], args: Args) -> list[int]:
    """What a reduction leaves of `shape`."""
    if args.get("keepdim"):
        return [1 if axis in axes else size for axis, size in enumerate(shape)]
    return [size for axis, size in enumerate(shape) if axis not in axes]


def _mean_of(walk: Walk, node: torch.fx.Node, source: str, channels: IntArray) -> str:
    """The mean of rows of `channels` ``(n, M)``, the numbers of those of the tensor `source`."""
    return _channel_mean(walk, node, source, channels.T.tolist(), len(channels)).name


def _largest_of(walk: Walk, node: torch.fx.Node, source: str, channels: IntArray) -> str:
    """The maximum of rows of `channels`: of the first half and the second, and so on. Of an odd number the one in the
    middle is in both.
    """
    count, numbers = channels.shape, np.arange(channels.size).reshape(channels.shape)
    made = Activation(name=source)
    index = _of_channels(walk, source, channels)
    while len(numbers) > 1:
        half = (len(numbers) + 1) // 2
        parts = [
            walk.made(Activation(name=made.name, index=part, view=(node.name, str(node.target))), part.shape)
            for part in (index[: half * count[1]], index[(len(numbers) - half) * count[1] :])
        ]
        made = larger(walk, node, parts)
        numbers = numbers[:half]
        index = _of_channels(walk, made.name, numbers)
    return made.name


def _of_channels(walk: Walk, source: str, channels: IntArray) -> Index:
    """The samples of `channels`, in their order, of the tensor `source`: ``(channels, *map)``."""
    base = walk.draft.shapes[source]
    pixels = math.prod(base[1:])
    found: Index = channels.reshape(-1, 1) * pixels + np.arange(1, pixels + 1)
    return found.reshape(-1, *base[1:])


def _few(
    walk: Walk, node: torch.fx.Node, value: Activation, along: tuple[Shape, int], *, maximum: bool, keepdim: bool
) -> Activation:
    """The reduction of a few tensors that lie side by side along an axis of a shape: their sum, or their maximum."""
    shape, axis = along
    view = (node.name, str(node.target))
    index = _front(walk, value, shape, axis)
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
