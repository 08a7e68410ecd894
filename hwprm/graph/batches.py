"""Batches of images as they are stored: one array for a network with one input, an array for each input by name.

The arrays of several inputs stand in a mapping, or (in a data set) in one structured array: a field for each input, of
its own type and shape, so that an image's parts stay together when images are chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwprm.core.errors import DataError
from hwprm.graph.lazy import LazyImages

__all__ = ["Batch", "Scale", "Shapes", "by_input", "fitting_batch", "image_shapes", "join_inputs", "scale_of"]

#: Values of one batch that are held at a time: a gibibyte of float64.
HELD_VALUES = 1 << 27

Batch = ArrayLike | LazyImages | Mapping[str, ArrayLike]
#: Real value of one step of the stored numbers, for all inputs or for each by name.
Scale = float | Mapping[str, float]
#: Shape of an image, or of each of its parts by input.
Shapes = tuple[int, ...] | dict[str, tuple[int, ...]]


def by_input(batch: Batch, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The array ``(n, ...)`` of each of the inputs `names`, in their order; lazy images stay lazy.

    Raises DataError when `batch` is for other inputs, or holds different numbers of images.
    """
    parts = _parts(batch)
    if parts is None:
        if len(names) != 1:
            raise DataError(
                f"the images are one array, the network has {len(names)} inputs ({', '.join(names)}); "
                "give an array for each, by name"
            )
        # Whoever reads lazy images by slices need not know it.
        return {names[0]: cast(NDArray[Any], batch) if isinstance(batch, LazyImages) else np.asarray(batch)}
    if set(parts) != set(names):
        raise DataError(
            f"the images are for the inputs {', '.join(parts)}, the network's are {', '.join(names)}; "
            "give an array for each of these, and no other"
        )
    counts = {name: len(parts[name]) for name in names}
    if len(set(counts.values())) != 1:
        raise DataError(f"the inputs have different numbers of images ({counts}); give as many of each")
    return {name: parts[name] for name in names}


def fitting_batch(most: int, values: int) -> int:
    """Images to compute at a time: `most`, or as many as memory holds when each needs `values` numbers; at least 1."""
    return max(1, min(most, HELD_VALUES // values))


def image_shapes(batch: Batch) -> Shapes:
    """Shape of one image of `batch`, for several inputs by name."""
    if isinstance(batch, LazyImages):
        return batch.shape[1:]
    parts = _parts(batch)
    return np.asarray(batch).shape[1:] if parts is None else {name: array.shape[1:] for name, array in parts.items()}


def join_inputs(parts: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """A structured array ``(n,)`` with a field for each input. Raises DataError when the numbers of images differ."""
    parts = by_input(parts, list(parts))
    count = len(next(iter(parts.values())))
    joined = np.empty(count, [(name, array.dtype, array.shape[1:]) for name, array in parts.items()])
    for name, array in parts.items():
        joined[name] = array
    return joined


def scale_of(scale: Scale, name: str) -> float:
    """The scale of input `name`. Raises DataError when there is none."""
    if not isinstance(scale, Mapping):
        return scale
    if name not in scale:
        raise DataError(f"no scale is given for input {name!r}, only for {', '.join(scale)}; give one for each")
    return scale[name]


def _parts(batch: Batch) -> dict[str, NDArray[Any]] | None:
    if isinstance(batch, Mapping):
        return {name: np.asarray(array) for name, array in batch.items()}
    if isinstance(batch, np.ndarray) and batch.dtype.names is not None:
        return {name: batch[name] for name in batch.dtype.names}
    return None
