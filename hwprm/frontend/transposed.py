"""Handler of transposed convolutions: a convolution for each of the pixels that one makes, and a pixel shuffle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hwprm.frontend.values import Activation, Value, as_array
from hwprm.frontend.walk import Handler, Walk, shape_of
from hwprm.graph import Conv2d, Crop
from hwprm.graph.ops.pixel_shuffle import PixelShuffle
from hwprm.graph.rules.arrays import FloatArray, IntArray
from hwprm.graph.rules.imports import RefusalError, pair

__all__ = ["either", "transposed"]

Args = Mapping[str, Any]


def either(plain: Handler) -> Handler:
    """The handler of a call that says whether it is transposed; `plain` is that of those that are not."""

    def handler(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
        return transposed(walk, node, args) if args["transposed"] else plain(walk, node, args)

    return handler


def transposed(walk: Walk, node: torch.fx.Node, args: Args) -> Value:
    """``conv_transpose2d``. Pixel (y, x) is in row ``y % stride`` and column ``x % stride`` of a square, for each of
    which the taps that ever fall on it are the filters of a convolution.
    """
    shape, made = shape_of(args["input"]), shape_of(node)
    if len(shape) != 4:
        raise RefusalError(f"it is a transposed convolution of {shape}", "use maps: (batch, C, H, W)")
    strides = pair(args["stride"])
    if strides[0] != strides[1]:
        raise RefusalError(f"its strides {strides} differ", "use one stride for rows and columns")
    stride, padding, dilation = strides[0], pair(args["padding"]), pair(args["dilation"])
    source, groups = walk.place(args["input"]), int(args["groups"])
    weight = as_array(walk.constant(args["weight"], "weight"))
    bias = args.get("bias")
    sides = [
        _side(shape[axis + 2], made[axis + 2], _Axis(weight.shape[axis + 2], stride, padding[axis], dilation[axis]))
        for axis in (0, 1)
    ]
    filters = weight.shape[1] * groups
    squares = stride**2
    numbers = np.zeros(filters, weight.dtype) if bias is None else as_array(walk.constant(bias, "bias"))
    conv = Conv2d(
        name=walk.layer_name(node, args["weight"]),
        inputs=(source.name,),
        weight=_phases(weight, sides, groups, stride),
        bias=np.repeat(numbers, squares),
        padding=(*sides[0].padding, *sides[1].padding),
        groups=groups,
    )
    name = walk.draft.put(conv)
    if stride > 1:
        name = walk.draft.put(PixelShuffle(name=walk.plain_name(node), inputs=(name,), factor=stride))
    if walk.draft.shapes[name][1:] != made[2:]:
        rows, cols = ((0, 1, size) for size in made[2:])
        name = walk.draft.put(Crop(name=walk.plain_name(node), inputs=(name,), rows=rows, cols=cols))
    return Activation(name=name)


@dataclass(frozen=True)
class _Axis:
    """One axis of a transposed convolution."""

    kernel: int
    stride: int
    padding: int
    dilation: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Side:
    """One axis of the convolution that stands for it: its padding, its length, and where in it tap k is that makes
    pixels of phase r, ``place[r, k]``, or -1.
    """

    padding: tuple[int, int]
    length: int
    place: IntArray


def _side(size: int, out: int, axis: _Axis) -> _Side:
    """That of an axis of `size` samples which makes `out`. Tap k adds sample i to pixel ``i * stride + k * dilation -
    padding``, so that of pixel ``q * stride + r`` reads sample ``q + (r + padding - k * dilation) / stride``.
    """
    phase, tap = np.ogrid[: axis.stride, : axis.kernel]
    apart = phase + axis.padding - tap * axis.dilation
    whole = apart % axis.stride == 0
    shift = apart // axis.stride
    low, high = min(0, int(shift[whole].min())), int(shift[whole].max())
    pixels = -(-out // axis.stride)
    # Taps of zero make it so long that it has as many positions as there are pixels of a phase.
    length = max(high - low + 1, size - low - pixels + 1)
    after = pixels - 1 + length - size + low
    return _Side(padding=(-low, after), length=length, place=np.where(whole, shift - low, -1))


def _phases(weight: FloatArray, sides: list[_Side], groups: int, stride: int) -> FloatArray:
    """The weight of the convolution, ``(M * stride**2, C // groups, KH, KW)``, of one ``(C, M // groups, ...)``."""
    channels, filters = weight.shape[:2]
    per = channels // groups
    made = np.zeros((groups, filters, stride, stride, per, sides[0].length, sides[1].length), weight.dtype)
    grouped = weight.reshape(groups, per, filters, *weight.shape[2:]).swapaxes(1, 2)
    for y, i in np.argwhere(sides[0].place >= 0):
        for x, j in np.argwhere(sides[1].place >= 0):
            made[:, :, y, x, :, sides[0].place[y, i], sides[1].place[x, j]] = grouped[..., i, j]
    return made.reshape(groups * filters * stride**2, per, *made.shape[-2:])
