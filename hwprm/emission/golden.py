"""Golden vectors of a bundle: test images, labels and what every layer must make of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle.images import write_images
from hwprm.intnet import IntegerNetwork
from hwprm.intnet.reference import logits, run

__all__ = ["LAYER_IMAGES", "storage_type", "write_golden"]

IntArray = NDArray[np.int64]

#: Images of which every layer is stored.
LAYER_IMAGES = 4
#: Types of stored integers, the first that holds a tensor's range is taken.
TYPES = (np.int8, np.uint8, np.int16, np.uint16, np.int32)


def storage_type(low: int, high: int) -> type[np.signedinteger[Any] | np.unsignedinteger[Any]]:
    """The type of an array of integers of low..high."""
    return next(kind for kind in TYPES if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)


def write_golden(net: IntegerNetwork, images: IntArray, labels: IntArray | None, folder: Path) -> None:
    """Write ``images.npy``, ``labels.npy``, ``layer_<i>.npy`` and the testbench's ``images_<k>.mem`` into `folder`.

    images as in `hwprm.intnet.images`, labels ``(n,)`` or None. Expected values come from the numpy reference:
    of all images for outputs, of the first `LAYER_IMAGES` for the other layers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    low, high = net.image_limits
    np.save(folder / "images.npy", images.astype(storage_type(int(low.min()), int(high.max()))))
    if labels is not None:
        np.save(folder / "labels.npy", np.asarray(labels, dtype=np.int64))
    expected: Mapping[str, IntArray] = run(net, images[:LAYER_IMAGES]) | logits(net, images)
    for i, layer in enumerate(net.layers):
        np.save(folder / f"layer_{i}.npy", expected[layer.name].astype(storage_type(*net.tensor[layer.name].limits)))
    write_images(images, net.act_bits, folder)
