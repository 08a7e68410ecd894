"""The user's own data: an ``.npz`` file with ``x``, ``y`` and, if wanted, ``x_test``, ``y_test``.

For a network with several inputs there is an ``x.NAME`` (and ``x_test.NAME``) for each, named like the argument of
``forward``: images, or vectors ``(n, K)``. Labels may then be left out.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import DataError
from hwprm.data.dataset import Dataset, stratified_order
from hwprm.graph import join_inputs

__all__ = ["load_npz"]

#: Share of the images that become the test split when the file has none.
TEST_SHARE = 0.2
SPLIT_SEED = 0
KEYS = ("x", "y", "x_test", "y_test")
#: What the arrays of several inputs are called, by split, before the input's name.
TRAIN, TEST = "x.", "x_test."

Arrays = dict[str, NDArray[Any]]


def load_npz(path: Path) -> Dataset:
    """Load `path`. Images ``(n, C, H, W)`` or ``(n, H, W)``, uint8 or any float (kept as float32); integer labels.

    Without test images a fifth of the images, drawn with a fixed seed and stratified by class, is the test split.
    Raises DataError when the file is unreadable or the arrays do not make a data set.
    """
    arrays = _read(path)
    if any(key.startswith((TRAIN, TEST)) for key in arrays):
        arrays = _join_inputs(path, arrays)
    elif "x" not in arrays or "y" not in arrays:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise DataError(f"{path} holds {found}; it needs arrays named x (images) and y (labels)")
    labelled = "y" in arrays
    if labelled and ("x_test" in arrays) != ("y_test" in arrays):
        raise DataError(f"{path} has only one of x_test and y_test; store both, or neither for an 80/20 split")
    x, y = _images(path, arrays["x"]), _labels(path, arrays.get("y"))
    if labelled and len(x) != len(y):
        raise DataError(f"{path}: {len(x)} images in x but {len(y)} labels in y; they must be as many")
    if "x_test" in arrays:
        x_test, y_test = _images(path, arrays["x_test"]), _labels(path, arrays.get("y_test"))
        source = f"{path.name}"
    else:
        order = stratified_order(y if labelled else np.zeros(len(x), np.int64), SPLIT_SEED)
        cut = round(len(x) * TEST_SHARE)
        held, kept = np.sort(order[:cut]), np.sort(order[cut:])
        x, x_test = x[kept], x[held]
        y, y_test = (y[kept], y[held]) if labelled else (y, y)
        source = f"{path.name}, split 80/20 with seed {SPLIT_SEED}"
    classes = 1 + max((int(part.max()) for part in (y, y_test) if part.size), default=0) if labelled else 0
    return Dataset(name=path.stem, source=source, x_train=x, y_train=y, x_test=x_test, y_test=y_test, classes=classes)


def _join_inputs(path: Path, arrays: Arrays) -> Arrays:
    """`arrays` with one ``x`` (and ``x_test``) of all inputs. Raises DataError when the inputs do not fit together."""
    train = {key.removeprefix(TRAIN): array for key, array in arrays.items() if key.startswith(TRAIN)}
    test = {key.removeprefix(TEST): array for key, array in arrays.items() if key.startswith(TEST)}
    joined: Arrays = {key: arrays[key] for key in ("y", "y_test") if key in arrays}
    other = arrays.keys() - {f"{TRAIN}{name}" for name in train} - {f"{TEST}{name}" for name in test} - joined.keys()
    if other:
        raise DataError(
            f"{path} holds {', '.join(sorted(other))} beside the arrays of several inputs; "
            "it needs x.NAME for each input, and may have x_test.NAME, y and y_test"
        )
    if test and test.keys() != train.keys():
        lone = ", ".join(sorted(test.keys() ^ train.keys()))
        raise DataError(
            f"{path}: only one of x.NAME and x_test.NAME is there for {lone}; store both, or no test images"
        )
    for key, parts in (("x", train), ("x_test", test)):
        if parts:
            images = {name: _part(f"{path}, {key}.{name}", part) for name, part in parts.items()}
            counts = {name: len(part) for name, part in images.items()}
            if len(set(counts.values())) != 1:
                raise DataError(f"{path}: the inputs of {key} have different numbers of images ({counts})")
            joined[key] = join_inputs(images)
    return joined


def _read(path: Path) -> Arrays:
    try:
        # Opened here, so that a broken archive does not leave the file open.
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(f"{path} is a single array; store x and y with numpy.savez")
            several = any(key.startswith((TRAIN, TEST)) for key in file.files)
            return {key: file[key] for key in (file.files if several else KEYS) if key in file.files}
    # zipfile raises RuntimeError for an encrypted or unknown kind of member, numpy MemoryError for a mad shape.
    except (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is no readable .npz file ({error}); store x and y with numpy.savez") from error


def _images(path: Path, x: NDArray[Any]) -> NDArray[Any]:
    if x.dtype.names is not None:
        return x
    if x.ndim not in (3, 4):
        raise DataError(f"{path}: images have rank {x.ndim}, shape {x.shape}; store (n, C, H, W) or (n, H, W)")
    return _part(str(path), x)


def _part(what: str, x: NDArray[Any]) -> NDArray[Any]:
    """The images of one input, or of the only one, as ``(n, C, H, W)`` or ``(n, K)``."""
    if x.ndim not in (2, 3, 4):
        raise DataError(f"{what} has rank {x.ndim}, shape {x.shape}; store (n, C, H, W), (n, H, W) or (n, K)")
    if x.ndim == 3:
        x = x[:, None]
    if x.dtype == np.uint8:
        return x
    if not np.issubdtype(x.dtype, np.floating):
        raise DataError(f"{what}: images are {x.dtype}; store them as uint8 (0..255) or float32")
    return x.astype(np.float32)


def _labels(path: Path, y: NDArray[Any] | None) -> NDArray[np.int64]:
    if y is None:
        return np.zeros(0, np.int64)
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"{path}: labels are {y.dtype} of shape {y.shape}; store one integer class number per image")
    return y.astype(np.int64)
