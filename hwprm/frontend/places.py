"""Samples in other places, made by operators of the graph: views, permutations, slices, splits, stacks and paddings
stand for an index until somebody reads them, and what has the same index is the same function however it is written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwprm.frontend.draft import Draft
from hwprm.frontend.values import Activation, Index
from hwprm.graph import Channels, Crop, Flatten, Remap, Unflatten, Upsample
from hwprm.graph.ops.pixel_shuffle import PixelShuffle
from hwprm.graph.ops.pixel_unshuffle import PixelUnshuffle
from hwprm.graph.rules.arrays import Quad, Shape
from hwprm.graph.rules.imports import RefusalError

__all__ = ["Place", "in_squares", "index_of", "read", "stored", "vector", "whole_channels"]

_NO_PADDING: Quad = (0, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A tensor of the graph, zero-padded by `padding` ahead of use."""

    name: str
    padding: Quad = _NO_PADDING


def stored(shape: Shape) -> Shape:
    """The shape in the graph of a tensor of `shape`, without batch: a sequence ``(C, T)`` is a map ``(C, 1, T)``."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else tuple(shape)


def index_of(draft: Draft, value: Activation, shape: Shape) -> Index:
    """The index of `value`, whose shape in torch is `shape`."""
    if value.index is not None:
        return value.index
    return np.arange(1, math.prod(draft.shapes[value.name]) + 1).reshape(shape)


def read(draft: Draft, value: Activation, shape: Shape) -> Place:
    """`value`, of `shape` in torch, as a tensor of the graph: a vector, or a map, which may be padded.

    Raises RefusalError, which names the view, when no operator puts the samples there.
    """
    if len(shape) not in (1, 2, 3):
        raise RefusalError(
            "it reads channels that a view has split into several axes", "view them as (batch, C, H, W) again first"
        )
    if len(shape) == 1:
        return Place(name=_vector(draft, value, shape))
    return _map(draft, value, stored(shape))


def in_squares(draft: Draft, value: Activation, shape: Shape) -> bool:
    """Whether `value`, of `shape` in torch, is pixels shuffled or unshuffled: an operator makes it, but not more."""
    base = draft.shapes[value.name]
    return value.index is not None and len(shape) == len(base) == 3 and _squares(base, value.index) is not None


def vector(draft: Draft, value: Activation, shape: Shape) -> tuple[str, Index | None]:
    """A vector of the graph, and which of its entries (from 1; 0 is a zero) the vector `value` is, None for all."""
    if value.index is None or whole_channels(draft, value) is not None:
        return _vector(draft, value, shape), None
    return _vector(draft, Activation(name=value.name, view=value.view), shape), value.index.ravel()


def whole_channels(draft: Draft, value: Activation) -> list[int] | None:
    """The channels that `value` consists of, one after the other, when it consists of whole ones; -1 for zeros."""
    base = draft.shapes[value.name]
    pixels = math.prod(base[1:])
    index = np.arange(1, math.prod(base) + 1) if value.index is None else value.index
    if index.size % pixels:
        return None
    rows = index.reshape(-1, pixels)
    channels = (rows[:, 0] - 1) // pixels
    whole = (rows == channels[:, None] * pixels + np.arange(1, pixels + 1)).all(axis=1)
    if not (whole | ~rows.any(axis=1)).all():
        return None
    found: list[int] = np.where(whole, channels, -1).tolist()
    return found


def _vector(draft: Draft, value: Activation, shape: Shape) -> str:
    base = draft.shapes[value.name]
    label = value.view[0] if value.view else value.name
    channels = whole_channels(draft, value)
    name = value.name
    if channels is not None:
        name = _chosen(draft, name, channels, label)
    if len(base) > 1:
        name = draft.put(Flatten(name=draft.claim(label), inputs=(name,)))
    if channels is None:
        assert value.index is not None
        name = _chosen(draft, name, (value.index.ravel() - 1).tolist(), label)
    return name


def _map(draft: Draft, value: Activation, shape: Shape) -> Place:
    base, label = draft.shapes[value.name], value.view[0] if value.view else value.name
    if value.index is None and base == shape:
        return Place(name=value.name)
    index = index_of(draft, value, shape).reshape(shape)
    name, base = value.name, base if len(base) == 3 else (*base, 1, 1)
    if (squares := _squares(base, index)) is not None:
        order, factor, out = squares
        name = _as_map(draft, name, label)
        if not out:
            name = draft.put(PixelUnshuffle(name=draft.claim(label), inputs=(name,), factor=factor))
        name = _chosen(draft, name, order, label)
        if out:
            name = draft.put(PixelShuffle(name=draft.claim(label), inputs=(name,), factor=factor))
        return Place(name=name)
    if shape[1:] == (1, 1) and base[1:] != (1, 1):
        flat = _vector(draft, value, (shape[0],))
        return Place(name=draft.put(Unflatten(name=draft.claim(label), inputs=(flat,))))
    kept, padding = _inside(index)
    plan = _axes(index[kept], base)
    if plan is None:
        raise _refusal(value, shape, draft.shapes[value.name])
    name = _as_map(draft, name, label)
    channels, rows, cols = plan
    order = np.full(len(index), -1)
    order[kept[0].ravel()] = channels
    # Channels first: what is not read need not be moved.
    zeros = bool((order < 0).any())
    name = _chosen(draft, name, channels if zeros else order, label)
    name = _pixels(draft, name, (rows, cols), label)
    if zeros:
        place = np.cumsum(order >= 0) - 1
        name = _chosen(draft, name, np.where(order < 0, -1, place), label)
    return Place(name=name, padding=padding)


def _as_map(draft: Draft, name: str, label: str) -> str:
    """Node `name`, a vector as a map of one pixel."""
    if len(draft.shapes[name]) == 3:
        return name
    return draft.put(Unflatten(name=draft.claim(label), inputs=(name,)))


def _chosen(draft: Draft, name: str, channels: Sequence[int] | Index, label: str) -> str:
    """The channels `channels` of node `name`, -1 being a channel of zeros."""
    order = np.asarray(channels)
    if np.array_equal(order, np.arange(draft.shapes[name][0])):
        return name
    indices = tuple(np.maximum(order, 0).tolist())
    name = draft.put(Channels(name=draft.claim(label), inputs=(name,), indices=indices))
    if (order >= 0).all():
        return name
    return draft.affine(label, name, (order >= 0).astype(np.float64), np.zeros(len(order)))


def _squares(base: Shape, index: Index) -> tuple[Index, int, bool] | None:
    """Channels in the order of a pixel shuffle (else, unless the third is True, of an unshuffle) and its factor, when
    `index` makes squares of pixels of channels, or channels of squares of pixels.
    """
    for small, large, out in ((base, index.shape, True), (index.shape, base, False)):
        factor = large[1] // small[1]
        if factor < 2 or large[1:] != (factor * small[1], factor * small[2]) or not index.all():
            continue
        numbers = index if out else np.arange(1, math.prod(base) + 1).reshape(base)
        cut = numbers.reshape(-1, small[1], factor, small[2], factor).transpose(0, 2, 4, 1, 3)
        squares = cut.reshape(-1, small[1], small[2])
        if out:
            pixels = math.prod(base[1:])
            order = (squares[:, 0, 0] - 1) // pixels
            whole = order[:, None, None] * pixels + np.arange(1, pixels + 1).reshape(base[1:])
            # Repeated pixels are an upsampling, which needs no squares.
            if np.array_equal(squares, whole) and np.ptp(order.reshape(-1, factor**2), axis=1).any():
                return order, factor, out
        else:
            place = {int(first): k for k, first in enumerate(squares[:, 0, 0])}
            order = np.array([place.get(int(first), 0) for first in index[:, 0, 0]])
            # Pixels of one row and column of each square are a crop.
            if np.array_equal(squares[order], index) and len(np.unique(order % factor**2)) > 1:
                return order, factor, out
    return None


def _inside(index: Index) -> tuple[tuple[Index, ...], Quad]:
    """What of the map `index` is not a channel of zeros and not padding, for indexing with, and the padding."""
    axes = [np.flatnonzero(index.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not axes[0].size:
        raise RefusalError("it is nothing but zeros", "remove what reads it from forward()")
    rows, cols = (np.arange(axis[0], axis[-1] + 1) for axis in axes[1:])
    padding = (rows[0], index.shape[1] - 1 - rows[-1], cols[0], index.shape[2] - 1 - cols[-1])
    return np.ix_(axes[0], rows, cols), tuple(map(int, padding))  # type: ignore[return-value]  # as many as went in


def _axes(index: Index, base: Shape) -> tuple[list[int], Index, Index] | None:
    """Channels, rows and columns of which the map `index` is made; None when it is no such product."""
    channels, pixels = np.divmod(np.maximum(index - 1, 0), base[1] * base[2])
    rows, cols = np.divmod(pixels, base[2])
    picked = channels[:, 0, 0], rows[0, :, 0], cols[0, 0, :]
    whole = (picked[0][:, None, None] * base[1] + picked[1][:, None]) * base[2] + picked[2] + 1
    if not np.array_equal(whole, index):
        return None
    return picked[0].tolist(), picked[1], picked[2]


def _regular(axis: Index) -> bool:
    """Whether rows (or columns) go down in equal steps, each as often as the others."""
    times = int((axis == axis[0]).sum())
    steps = np.diff(axis[::times])
    if len(axis) % times or not np.array_equal(axis, np.repeat(axis[::times], times)):
        return False
    return bool((steps > 0).all() and (steps == steps[:1]).all())


def _pixels(draft: Draft, name: str, axes: tuple[Index, Index], label: str) -> str:
    """Node `name`'s rows and columns `axes`."""
    if not all(_regular(axis) for axis in axes):
        rows, cols = (tuple(axis.tolist()) for axis in axes)
        return draft.put(Remap(name=draft.claim(label), inputs=(name,), rows=rows, cols=cols))
    times = tuple(int((axis == axis[0]).sum()) for axis in axes)
    taken = tuple(_range(axis[::often]) for axis, often in zip(axes, times, strict=True))
    if taken != tuple((0, 1, size) for size in draft.shapes[name][1:]):
        name = draft.put(Crop(name=draft.claim(label), inputs=(name,), rows=taken[0], cols=taken[1]))
    if times != (1, 1):
        name = draft.put(Upsample(name=draft.claim(label), inputs=(name,), factors=(times[0], times[1])))
    return name


def _range(axis: Index) -> tuple[int, int, int]:
    return int(axis[0]), int(axis[1] - axis[0]) if len(axis) > 1 else 1, len(axis)


def _refusal(value: Activation, shape: Shape, base: Shape) -> RefusalError:
    remedy = "keep channels, rows and columns apart: each may be chosen, moved and repeated, maps padded and flattened"
    return RefusalError(f"it reorders the samples of a tensor {base} to one of {shape}", remedy, value.view)
