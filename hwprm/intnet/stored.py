"""Images as a data set has them, as real values and as a network's integers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import DataError
from hwprm.core.numerics import quantize
from hwprm.graph import Batch, Scale, by_input, scale_of
from hwprm.intnet.images import pack_images
from hwprm.intnet.network import IntegerNetwork

__all__ = ["quantize_images", "real_images"]

FloatArray = NDArray[np.float64]
Map = tuple[int, int, int]


def quantize_images(x: Batch, input_scale: Scale, net: IntegerNetwork) -> NDArray[np.int64]:
    """Stored images as integers at the scales of `net`'s inputs, saturated: one array as in `hwprm.intnet.images`.

    Raises DataError when the set is empty, not finite, of another shape or for other inputs.
    """
    real = real_images(x, input_scale, net.input_shapes)
    tensors = {name: net.tensor[name] for name in net.inputs}
    return pack_images(quantize(real[name], t.scale, *t.limits) for name, t in tensors.items())


def real_images(x: Batch, input_scale: Scale, shapes: Mapping[str, Map]) -> dict[str, FloatArray]:
    """Stored images (bytes or floats) as real values float64 ``(n, C, H, W)`` of each input, ``x * input_scale``.

    `shapes` are those of the network's inputs, in order. Vectors ``(n, K)`` become ``(n, K, 1, 1)``.
    Raises DataError when `x` is empty, not finite, of another shape or for other inputs.
    """
    arrays = by_input(x, list(shapes))
    return {name: _real(arrays[name], scale_of(input_scale, name), shape) for name, shape in shapes.items()}


def _real(array: NDArray[np.generic], scale: float, shape: Map) -> FloatArray:
    if array.ndim == 2 and shape[1:] == (1, 1):
        array = array[:, :, None, None]
    if array.ndim != 4 or array.shape[1:] != shape:
        raise DataError(f"images have shape {array.shape}, the network reads (n, {', '.join(map(str, shape))})")
    real: FloatArray = array.astype(np.float64) * scale
    if not len(real):
        raise DataError("the set of images is empty; give at least one")
    if not np.isfinite(real).all():
        raise DataError("the images hold NaN or infinity; clean the data set")
    return real
