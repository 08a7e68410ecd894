"""Sliding windows: how large a map they make, and which of their taps lie inside the map they read.

Where taps fall decides whether a constant may be folded exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Taps", "Window", "conv_output_size", "pool_output_size", "taps_inside", "window_taps"]

BoolArray = NDArray[np.bool_]
Pair = tuple[int, int]
Quad = tuple[int, int, int, int]


def conv_output_size(padded: int, kernel: int, stride: int, dilation: int) -> int:
    """Output length of a convolution over `padded` samples (padding included); may be <= 0 when it does not fit."""
    return (padded - dilation * (kernel - 1) - 1) // stride + 1


def pool_output_size(size: int, kernel: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool) -> int:
    """Output length of a pooling window, with torch's rule that the last window must start inside the input."""
    span = size + sum(padding) - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return span // stride + 1
    out = -(-span // stride) + 1
    return out - 1 if (out - 1) * stride >= size + padding[0] else out


def taps_inside(size: int, out: int, kernel: int, stride: int, before: int, dilation: int) -> BoolArray:
    """``(out, kernel)``: does tap k of window position y read one of the `size` samples (and not padding)?"""
    start = np.arange(out)[:, None] * stride - before
    index = start + np.arange(kernel)[None, :] * dilation
    return (index >= 0) & (index < size)


class Taps:
    """Where the taps of a two-dimensional window fall.

    ``always`` and ``never`` are ``(KH, KW)``: the tap reads the map (the padding) at every position.
    ``seen`` says whether every window position reads the map with at least one tap.
    """

    def __init__(self, rows: BoolArray, cols: BoolArray) -> None:
        self.always: BoolArray = np.logical_and.outer(rows.all(axis=0), cols.all(axis=0))
        self.never: BoolArray = ~np.logical_and.outer(rows.any(axis=0), cols.any(axis=0))
        self.seen: bool = bool(rows.any(axis=1).all() and cols.any(axis=1).all())


@dataclass(frozen=True, kw_only=True)
class Window:
    """A sliding window of two dimensions; padding is (top, bottom, left, right), everything else (rows, columns)."""

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Quad = (0, 0, 0, 0)
    dilation: Pair = (1, 1)

    def reach(self, size: Pair, out: Pair) -> Quad:
        """The padding of a `size` map, and what the last of `out` positions reads beyond it (ceil mode)."""
        top, bottom, left, right = self.padding
        last = [(out[i] - 1) * self.stride[i] + self.dilation[i] * (self.kernel[i] - 1) + 1 for i in (0, 1)]
        beyond = (max(0, last[0] - size[0] - top - bottom), max(0, last[1] - size[1] - left - right))
        return (top, bottom + beyond[0], left, right + beyond[1])


def window_taps(size: Pair, out: Pair, window: Window, region: Quad | None = None) -> Taps:
    """`Taps` of `window` over a map of `size` that makes a map of `out`.

    With a `region` (top, bottom, left, right), ends exclusive, only the positions inside it count.
    """
    top, bottom, left, right = region or (0, out[0], 0, out[1])
    kernel, stride, padding, dilation = window.kernel, window.stride, window.padding, window.dilation
    rows = taps_inside(size[0], out[0], kernel[0], stride[0], padding[0], dilation[0])
    cols = taps_inside(size[1], out[1], kernel[1], stride[1], padding[2], dilation[1])
    return Taps(rows[top:bottom], cols[left:right])
