"""Integer images of a network: one array, whatever the number of inputs.

With one input that is ``(n, C, H, W)``. With several it is packed, ``(n, beats)``: a row holds the inputs one after the
other in the order of `IntegerNetwork.inputs`, each a channel-major raster, as the accelerator's stream carries them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import InputError

__all__ = ["image_limits", "image_shape", "pack_images", "split_images"]

Map = tuple[int, int, int]


def image_shape(shapes: Iterable[Map]) -> tuple[int, ...]:
    """Shape of one image for inputs of `shapes` ``(C, H, W)``: that of the only one, or ``(beats,)``."""
    shapes = tuple(shapes)
    return shapes[0] if len(shapes) == 1 else (sum(prod(shape) for shape in shapes),)


def image_limits(parts: Iterable[tuple[Map, tuple[int, int]]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Smallest and largest integer of every beat, arrays of the shape of one image: inputs may differ in their sign.

    `parts` are shape ``(C, H, W)`` and limits of every input, in order.
    """
    parts = tuple(parts)
    shape = image_shape(part for part, _ in parts)
    low, high = (
        np.concatenate([np.full(prod(part), ends[side], np.int64) for part, ends in parts]).reshape(shape)
        for side in (0, 1)
    )
    return low, high


def pack_images(arrays: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """One array of images from the array of each input ``(n, C, H, W)``, in the network's order."""
    first, *rest = arrays
    return np.concatenate([each.reshape(len(each), -1) for each in (first, *rest)], axis=1) if rest else first


def split_images(images: NDArray[Any], shapes: Mapping[str, Map]) -> dict[str, NDArray[Any]]:
    """The array of each input ``(n, C, H, W)`` from `images`; `shapes` holds the inputs in the network's order.

    Raises InputError when `images` are neither ``(n, C, H, W)`` of the only input nor packed rows of all of them.
    """
    expected = image_shape(shapes.values())
    if images.shape[1:] != expected:
        inputs = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise InputError(
            f"images have shape {images.shape}, the network reads (n, {', '.join(map(str, expected))}): {inputs}"
        )
    ends = np.cumsum([prod(shape) for shape in shapes.values()])
    parts = np.split(images.reshape(len(images), prod(expected)), ends[:-1], axis=1)
    return {name: part.reshape(len(images), *shape) for part, (name, shape) in zip(parts, shapes.items(), strict=True)}
