"""Images that are in memory already, in the forms in which Python programs hand them about, as a data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import DataError
from hwprm.data.arrays import Arrays, set_of
from hwprm.data.dataset import Dataset

__all__ = ["is_memory", "set_in_memory"]

_TAKEN = "give x, (x, y), (x, y, x_test, y_test), a mapping of such arrays by name, or a torch data set"


def is_memory(data: Any) -> bool:
    """Whether `data` holds images, and is no name, path or description of them."""
    if isinstance(data, str | Path):
        return False
    return isinstance(data, Mapping | tuple | list | np.ndarray) or hasattr(data, "__getitem__") or _loader(data)


def set_in_memory(data: Any) -> Dataset:
    """The data set of arrays or torch tensors x, (x, y) or (x, y, x_test, y_test), of a mapping of such by name (as in
    an ``.npz``), or of a torch data set or loader, whose items are images or (image, label).

    A loader's data set is read in its own order, every item once; pictures of Pillow become bytes ``(C, H, W)``.
    What the arrays mean is told at `hwprm.data.arrays.set_of`, which checks them.
    """
    what = f"data ({type(data).__name__})"
    if _loader(data):
        data = data.dataset
    if isinstance(data, Mapping):
        arrays: Arrays = {str(key): _array(value) for key, value in data.items()}
    elif isinstance(data, tuple | list):
        keys = {1: ("x",), 2: ("x", "y"), 4: ("x", "y", "x_test", "y_test")}.get(len(data))
        if keys is None:
            raise DataError(f"{what} has {len(data)} parts; {_TAKEN}")
        arrays = {key: _array(part) for key, part in zip(keys, data, strict=True) if part is not None}
    elif isinstance(data, np.ndarray) or hasattr(data, "detach"):
        arrays = {"x": _array(data)}
    else:
        arrays = _items(data, what)
    return set_of(arrays, "data", what)


def _loader(data: Any) -> bool:
    return hasattr(data, "dataset") and hasattr(data, "batch_size")


def _items(data: Any, what: str) -> Arrays:
    """The items of a torch data set, one after the other."""
    try:
        items = [data[i] for i in range(len(data))]
    except (TypeError, KeyError) as error:
        raise DataError(f"{what} cannot be read by number ({error}); {_TAKEN}") from error
    if not items:
        raise DataError(f"{what} is empty; give at least one image")
    pairs = [item if isinstance(item, tuple | list) else (item,) for item in items]
    try:
        arrays = {"x": np.stack([_image(pair[0]) for pair in pairs])}
        if all(len(pair) > 1 for pair in pairs):
            arrays["y"] = np.stack([_array(pair[1]) for pair in pairs])
    except ValueError as error:
        raise DataError(f"{what}: its images or labels differ in shape ({error}); bring them to one size") from error
    return arrays


def _image(image: Any) -> NDArray[Any]:
    array = _array(image)
    if hasattr(image, "getbands"):  # a picture of Pillow: (H, W) or (H, W, C)
        return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    return array


def _array(value: Any) -> NDArray[Any]:
    if hasattr(value, "detach"):  # a torch tensor, on whatever device
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    return np.asarray(value)
