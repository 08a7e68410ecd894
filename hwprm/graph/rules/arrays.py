"""Types that the rules of operators share. Shapes leave the batch out: an image is (C, H, W), a vector (K,)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "BoolArray", "FloatArray", "IntArray", "Pair", "Quad", "Shape"]

#: A parameter, in the dtype of the source network.
FloatArray = NDArray[Any]
#: A tensor of the float reference, ``(n, *shape)``.
Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Shape = tuple[int, ...]
#: (rows, columns)
Pair = tuple[int, int]
#: (top, bottom, left, right)
Quad = tuple[int, int, int, int]
