"""Golden vectors of a bundle: test images, labels and what every layer must make of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle.images import write_images
from hwprm.intnet import IntegerNetwork
from hwprm.intnet.reference import logits, run

__all__ = ["LAYER_IMAGES", "NARROW", "write_golden"]

IntArray = NDArray[np.int64]

#: Images of which every layer is stored.
LAYER_IMAGES = 4
#: Type of stored activations, by whether they have 8 bits or fewer.
NARROW = {True: np.int8, False: np.int16}


def write_golden(net: IntegerNetwork, images: IntArray, labels: IntArray | None, folder: Path) -> None:
    """Write ``images.npy``, ``labels.npy``, ``layer_<i>.npy`` and the testbench's ``images_<k>.mem`` into `folder`.

    images as in `hwprm.intnet.images`, labels ``(n,)`` or None. Expected values come from the numpy reference:
    of all images for outputs, of the first `LAYER_IMAGES` for the other layers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    narrow = NARROW[net.act_bits <= 8]
    np.save(folder / "images.npy", images.astype(narrow))
    if labels is not None:
        np.save(folder / "labels.npy", np.asarray(labels, dtype=np.int64))
    expected: Mapping[str, IntArray] = run(net, images[:LAYER_IMAGES]) | logits(net, images)
    for i, layer in enumerate(net.layers):
        np.save(folder / f"layer_{i}.npy", expected[layer.name].astype(np.int32 if layer.wide else narrow))
    write_images(images, net.act_bits, folder)
