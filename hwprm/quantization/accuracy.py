"""Accuracy of an integer network on images as they are stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import InputError
from hwprm.graph import Images, Scale
from hwprm.intnet import IntegerNetwork, quantize_images
from hwprm.quantization.emulate import classes_of, count_right

__all__ = ["stored_accuracy", "stored_classes"]

#: Images that are quantised at a time, so that a set need not fit into memory.
BATCH = 250


def stored_accuracy(
    net: IntegerNetwork, x: Images, input_scale: Scale, labels: NDArray[np.integer], *, top: int = 1
) -> float:
    """Per cent of the images `x`, as a data set has them, times `input_scale`, that `net` puts in class `labels`.

    With `top` above 1 a class among that many first ones is right. Raises what `integer_accuracy` and
    `quantize_images` raise.
    """
    if not len(x) or len(x) != len(labels):
        raise InputError(f"accuracy needs as many labels as images and at least one, not {len(labels)}/{len(x)}")
    right = 0
    for start in range(0, len(x), BATCH):
        part = slice(start, start + BATCH)
        right += count_right(net, quantize_images(x[part], input_scale, net), labels[part], top)
    return 100.0 * right / len(x)


def stored_classes(net: IntegerNetwork, x: Images, input_scale: Scale) -> NDArray[np.int64]:
    """The class that `net` puts each of the images `x`, as a data set has them, into: ``(n,)``."""
    parts = (x[start : start + BATCH] for start in range(0, len(x), BATCH))
    return np.concatenate([classes_of(net, quantize_images(part, input_scale, net)) for part in parts])
