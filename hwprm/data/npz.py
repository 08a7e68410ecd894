"""The user's own data: an ``.npz`` file with ``x``, ``y`` and, if wanted, ``x_test``, ``y_test``."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.data.dataset import Dataset, stratified_order
from hwprm.errors import DataError

__all__ = ["load_npz"]

#: Share of the images that become the test split when the file has none.
TEST_SHARE = 0.2
SPLIT_SEED = 0


def load_npz(path: Path) -> Dataset:
    """Load `path`. Images ``(n, C, H, W)`` or ``(n, H, W)``, uint8 or any float (kept as float32); integer labels.

    Without ``x_test`` a fifth of the images, drawn with a fixed seed and stratified by class, is the test split.
    Raises DataError when the file is unreadable or the arrays do not make a data set.
    """
    arrays = _read(path)
    if "x" not in arrays or "y" not in arrays:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise DataError(f"{path} holds {found}; it needs arrays named x (images) and y (labels)")
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise DataError(f"{path} has only one of x_test and y_test; store both, or neither for an 80/20 split")
    x, y = _images(path, arrays["x"]), _labels(path, arrays["y"])
    if len(x) != len(y):
        raise DataError(f"{path}: {len(x)} images in x but {len(y)} labels in y; they must be as many")
    if "x_test" in arrays:
        x_test, y_test = _images(path, arrays["x_test"]), _labels(path, arrays["y_test"])
        source = f"{path.name}"
    else:
        order = stratified_order(y, SPLIT_SEED)
        cut = round(len(y) * TEST_SHARE)
        held, kept = np.sort(order[:cut]), np.sort(order[cut:])
        x, y, x_test, y_test = x[kept], y[kept], x[held], y[held]
        source = f"{path.name}, split 80/20 with seed {SPLIT_SEED}"
    classes = 1 + max((int(part.max()) for part in (y, y_test) if part.size), default=0)
    return Dataset(name=path.stem, source=source, x_train=x, y_train=y, x_test=x_test, y_test=y_test, classes=classes)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        # Opened here, so that a broken archive does not leave the file open.
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(f"{path} is a single array; store x and y with numpy.savez")
            return {key: file[key] for key in ("x", "y", "x_test", "y_test") if key in file.files}
    # zipfile raises RuntimeError for an encrypted or unknown kind of member, numpy MemoryError for a mad shape.
    except (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is no readable .npz file ({error}); store x and y with numpy.savez") from error


def _images(path: Path, x: NDArray[Any]) -> NDArray[Any]:
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim != 4:
        raise DataError(f"{path}: images have rank {x.ndim}, shape {x.shape}; store (n, C, H, W) or (n, H, W)")
    if x.dtype == np.uint8:
        return x
    if not np.issubdtype(x.dtype, np.floating):
        raise DataError(f"{path}: images are {x.dtype}; store them as uint8 (0..255) or float32")
    return x.astype(np.float32)


def _labels(path: Path, y: NDArray[Any]) -> NDArray[np.int64]:
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"{path}: labels are {y.dtype} of shape {y.shape}; store one integer class number per image")
    return y.astype(np.int64)
