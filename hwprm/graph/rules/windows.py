"""Sliding windows over batches of maps, for the float reference and for torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from hwprm.core.errors import ModelError
from hwprm.core.geometry import Window
from hwprm.graph.rules.arrays import Array, Quad, Shape

__all__ = ["needs_map", "pad", "padded_in_torch", "window_view"]


def needs_map(kind: str, name: str, shape: Shape) -> None:
    """Raise ModelError when the `kind` of operator called `name` reads something else than a map."""
    if len(shape) != 3:
        raise ModelError(f"{kind} {name!r} needs a map (C, H, W), it reads {shape}")


def pad(x: Array, padding: Quad, value: float) -> Array:
    """`x` ``(n, C, H, W)`` with `padding` (top, bottom, left, right) of `value`."""
    top, bottom, left, right = padding
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def window_view(x: Array, window: Window, shape: Shape) -> Array:
    """View ``(n, C, OH, OW, KH, KW)`` of what each position of `window` on the padded `x` reads; output `shape`."""
    stride, dilation = window.stride, window.dilation
    span = tuple(d * (k - 1) + 1 for d, k in zip(dilation, window.kernel, strict=True))
    view: Array = sliding_window_view(x, span, axis=(2, 3))
    view = view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    return view[:, :, : shape[1], : shape[2]]


def padded_in_torch(torch: Any, x: Any, window: Window, shape: Shape, value: float) -> Any:
    """Tensor `x` padded by hand, as far as the last window of an output `shape` reaches: any ceil mode then works."""
    top, bottom, left, right = window.reach((x.shape[2], x.shape[3]), (shape[1], shape[2]))
    pads = (left, right, top, bottom)
    return torch.nn.functional.pad(x, pads, value=value) if any(pads) else x
