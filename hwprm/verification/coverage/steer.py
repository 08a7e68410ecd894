"""Where an image has to become brighter or darker for a sum somewhere in the network to grow: signs of weights, carried
back from a layer to the image.

All of it is in integers of few bits, so that every product and sum is exact and the same everywhere: the same network
and image, the same direction, whatever adds the numbers up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwprm.core.geometry import Window
from hwprm.core.numerics import requantize
from hwprm.intnet import GemmLayer, IntegerNetwork, Pool, Term, pack_images
from hwprm.intnet.reference import pool_taps, run

__all__ = ["Wish", "directions"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
#: Bits that a direction keeps at every tensor: with 16 of a weight and 2**24 products they stay below float64's 53.
BITS = 12
#: What is left of a direction behind a clamp that cuts: a little, or nothing that is clamped would ever move.
LEAK = 1 / 16


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One sum that is to grow (`sign` 1) or to shrink (-1): a filter and a pixel of a layer's map before pooling."""

    layer: str
    filter: int
    pixel: tuple[int, int]
    sign: int


def directions(net: IntegerNetwork, images: IntArray, wishes: Sequence[Sequence[Wish]]) -> IntArray:
    """-1, 0 or 1 for every integer of `images` (`hwprm.intnet.images`): where each image's `wishes` want it to go."""
    seen: dict[str, list[tuple[IntArray, IntArray]]] = {}

    def watch(layer: GemmLayer, first: int, acc: IntArray, best: IntArray) -> None:
        seen.setdefault(layer.name, []).append((acc, best))

    tensors = run(net, images, watch=watch)
    back: dict[str, FloatArray] = {}
    for layer in reversed(net.layers):
        acc, best = (np.concatenate(parts) for parts in zip(*seen.pop(layer.name), strict=True))
        wanted = np.zeros(acc.shape)
        if layer.name in back:
            wanted += _through(layer, acc, best, back.pop(layer.name))
        for i, mine in enumerate(wishes):
            for wish in (wish for wish in mine if wish.layer == layer.name):
                # Beside what later layers want of it, a wish of its own counts as much as any of theirs.
                wanted[i, wish.filter, *wish.pixel] += wish.sign * max(1.0, np.abs(wanted[i]).max())
        if wanted.any():
            _share(layer, _few_bits(wanted), tensors, back)
    nothing = {name: np.zeros(tensors[name].shape) for name in net.inputs}
    return pack_images(np.sign((nothing | back)[name]).astype(np.int64) for name in net.inputs)


def _few_bits(wanted: FloatArray) -> FloatArray:
    """`wanted` as integers of `BITS` bits, each image by itself."""
    largest = np.abs(wanted).max(axis=tuple(range(1, wanted.ndim)), keepdims=True)
    return np.rint(wanted * ((1 << BITS) / np.where(largest > 0, largest, 1)))


def _through(layer: GemmLayer, acc: IntArray, best: IntArray, wanted: FloatArray) -> FloatArray:
    """What is `wanted` of a layer's tensor as what is wanted of its sums before pooling: both ``(n, M, H, W)``."""
    rows, cols = layer.upsample
    n, filters, height, width = wanted.shape
    wanted = wanted.reshape(n, filters, height // rows, rows, width // cols, cols).sum(axis=(3, 5))
    mult, shift = (np.asarray(each, np.int64)[None, :, None, None] for each in (layer.mult, layer.shift))
    low, high = layer.clamp
    made = requantize(best, mult, shift, low, high)
    slope = np.where((made > low) & (made < high), 1.0, LEAK) * (mult / np.exp2(shift))
    if layer.table is not None:
        slope = slope * (layer.finished(np.minimum(made + 1, high)) - layer.finished(np.maximum(made - 1, low)))
    wanted = wanted * slope
    return _unpooled(layer.pool, acc, best, wanted) if layer.pool else wanted


def _unpooled(pool: Pool, acc: IntArray, best: IntArray, wanted: FloatArray) -> FloatArray:
    """What is wanted of each window, where its largest sum stands."""
    height, width = acc.shape[2:]
    window = Window(kernel=pool.kernel, stride=pool.stride, padding=pool.padding, dilation=pool.dilation)
    top, bottom, left, right = window.reach((height, width), pool.output_size((height, width)))
    padded = np.zeros((*acc.shape[:2], top + height + bottom, left + width + right))
    free = np.ones(best.shape, bool)
    for number, tap in enumerate(pool_taps(pool, acc)):
        here = free & (tap == best)
        free &= ~here
        position = divmod(number, pool.kernel[1])
        _met(padded, position, best.shape[2:], pool.stride, pool.dilation)[...] += np.where(here, wanted, 0.0)
    return padded[:, :, top : top + height, left : left + width]


def _met(
    padded: FloatArray, tap: tuple[int, int], size: Sequence[int], stride: tuple[int, int], dilation: tuple[int, int]
) -> FloatArray:
    """The view of `padded` that the position `tap` of a kernel meets from a map of `size`."""
    slices = [
        slice(tap[i] * dilation[i], tap[i] * dilation[i] + (size[i] - 1) * stride[i] + 1, stride[i]) for i in (0, 1)
    ]
    return padded[:, :, slices[0], slices[1]]


def _share(layer: GemmLayer, wanted: FloatArray, tensors: Mapping[str, IntArray], back: dict[str, FloatArray]) -> None:
    """Add to `back`, by tensor, what is `wanted` of the layer's sums ``(n, M, OH, OW)``."""
    for term in layer.terms:
        _add(back, term.source, _transposed(term, wanted, tensors[term.source].shape))
    residual = layer.residual
    if residual is None:
        return
    part = wanted * np.asarray(residual.mult, np.float64)[None, :, None, None]
    if gate := residual.gate:
        x, g = tensors[residual.source][:, residual.channel], tensors[gate.source][:, gate.channel]
        towards = part * x
        if g.shape[2:] != x.shape[2:]:  # one pixel that counts for all
            towards = towards.sum(axis=(2, 3), keepdims=True)
        _add(back, gate.source, _gathered(towards, gate.channel, tensors[gate.source].shape[1]))
        part = part * g
    _add(back, residual.source, _gathered(part, residual.channel, tensors[residual.source].shape[1]))


def _add(back: dict[str, FloatArray], name: str, part: FloatArray) -> None:
    back[name] = back[name] + part if name in back else part


def _gathered(part: FloatArray, channel: IntArray, channels: int) -> FloatArray:
    """Filters' parts ``(n, M, H, W)`` at the channels that they read."""
    whole = np.zeros((len(part), channels, *part.shape[2:]))
    for i, read in enumerate(channel):  # several filters may read one
        whole[:, read] += part[:, i]
    return whole


def _transposed(term: Term, wanted: FloatArray, shape: Sequence[int]) -> FloatArray:
    """What is wanted of a term's source: the transposed convolution of `wanted`."""
    n, channels, height, width = shape
    filters, per_group, kh, kw = term.weight.shape
    size, groups = wanted.shape[2:], term.groups
    if term.region:
        top, bottom, left, right = term.region
        inside = np.zeros_like(wanted)
        inside[:, :, top:bottom, left:right] = wanted[:, :, top:bottom, left:right]
        wanted = inside
    weight = term.weight.astype(np.float64).reshape(groups, filters // groups, per_group * kh * kw)
    columns = np.matmul(weight.transpose(0, 2, 1), wanted.reshape(n, groups, filters // groups, size[0] * size[1]))
    columns = columns.reshape(n, channels, kh, kw, *size)
    top, bottom, left, right = term.padding
    padded = np.zeros((n, channels, top + height + bottom, left + width + right))
    for ky in range(kh):
        for kx in range(kw):
            _met(padded, (ky, kx), size, term.stride, term.dilation)[...] += columns[:, :, ky, kx]
    return padded[:, :, top : top + height, left : left + width]
