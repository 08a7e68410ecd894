"""Arrays of a user as a data set: ``x``, ``y`` and, if wanted, ``x_test``, ``y_test``, from a file or from memory.

For a network with several inputs there is an ``x.NAME`` (and ``x_test.NAME``) for each, named like the argument of
``forward``: images, or vectors ``(n, K)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import DataError
from hwprm.data.dataset import Dataset, stratified_order
from hwprm.graph import join_inputs

__all__ = ["Arrays", "set_of"]

#: Share of the images that become the test split when there is none.
TEST_SHARE = 0.2
SPLIT_SEED = 0
KEYS = ("x", "y", "x_test", "y_test")
#: What the arrays of several inputs are called, by split, before the input's name.
TRAIN, TEST = "x.", "x_test."
#: Up to here float32 holds every integer.
EXACT = 1 << 24

Arrays = dict[str, NDArray[Any]]


def set_of(arrays: Arrays, name: str, what: str) -> Dataset:
    """The data set of `arrays`, called `name`; `what` they are, a file or an argument, goes before errors.

    Images ``(n, C, H, W)`` or ``(n, H, W)``, vectors ``(n, K)``: bytes stay bytes, one step of which is 1/255; all
    other numbers are what they are, as float32. Without test images a fifth of the images, at least one, drawn with a
    fixed seed and stratified by class, is the test split; a single image is both.
    Labels are one class number an image. They may be left out, or be something else, where nothing is trained.
    Raises DataError when the arrays do not make a data set.
    """
    arrays = _named(arrays, what)
    if (
        ("y_test" in arrays)
        and "x_test" not in arrays
        or ("y" in arrays)
        and ("x_test" in arrays) != ("y_test" in arrays)
    ):
        raise DataError(f"{what} has only one of x_test and y_test; store both, or neither for an 80/20 split")
    x = _images(f"{what}, x", arrays["x"])
    if "y" in arrays and len(x) != len(arrays["y"]):
        raise DataError(f"{what}: {len(x)} images in x but {len(arrays['y'])} labels in y; they must be as many")
    unusable = _unusable(arrays)
    y = np.zeros(0, np.int64) if unusable else arrays["y"].astype(np.int64)
    if "x_test" in arrays:
        x_test = _images(f"{what}, x_test", arrays["x_test"])
        y_test = y if unusable else arrays["y_test"].astype(np.int64)
        source = what
    else:
        order = stratified_order(np.zeros(len(x), np.int64) if unusable else y, SPLIT_SEED)
        cut = max(1, round(len(x) * TEST_SHARE))
        held = np.sort(order[:cut])
        kept = np.sort(order[cut:]) if len(x) > 1 else held
        x, x_test = x[kept], x[held]
        y, y_test = (y, y) if unusable else (y[kept], y[held])
        source = f"{what}, split 80/20 with seed {SPLIT_SEED}"
    classes = 0 if unusable else 1 + max((int(part.max()) for part in (y, y_test) if part.size), default=0)
    return Dataset(
        name=name,
        source=source,
        x_train=x,
        y_train=y,
        x_test=x_test,
        y_test=y_test,
        classes=classes,
        unlabelled=unusable or "",
    )


def _named(arrays: Arrays, what: str) -> Arrays:
    """`arrays` with one ``x`` and, where there are test images, one ``x_test``, checked for being finite."""
    if any(key.startswith((TRAIN, TEST)) for key in arrays):
        return _join_inputs(what, arrays)
    if "x" not in arrays and len(arrays) == 1:
        arrays = {"x": next(iter(arrays.values()))}
    if "x" not in arrays:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise DataError(
            f"{what} holds {found}; it needs an array named x (images), and to train y (labels); "
            "x_test and y_test, if there are any, are the test images"
        )
    return {key: arrays[key] for key in KEYS if key in arrays}


def _unusable(arrays: Arrays) -> str | None:
    """Why there are no labels to train with; None when there are."""
    if "y" not in arrays:
        return "there is no y"
    for key in ("y", "y_test"):
        y = arrays.get(key)
        if y is not None and (y.ndim != 1 or not np.issubdtype(y.dtype, np.integer)):
            return f"{key} holds {y.dtype} of shape {y.shape}, not one integer class number an image"
    if len(np.unique(arrays["y"])) < 2:
        return "y holds a single class"
    return None


def _join_inputs(what: str, arrays: Arrays) -> Arrays:
    """`arrays` with one ``x`` (and ``x_test``) of all inputs. Raises DataError when the inputs do not fit together."""
    train = {key.removeprefix(TRAIN): array for key, array in arrays.items() if key.startswith(TRAIN)}
    test = {key.removeprefix(TEST): array for key, array in arrays.items() if key.startswith(TEST)}
    joined: Arrays = {key: arrays[key] for key in ("y", "y_test") if key in arrays}
    other = arrays.keys() - {f"{TRAIN}{name}" for name in train} - {f"{TEST}{name}" for name in test} - joined.keys()
    if other:
        raise DataError(
            f"{what} holds {', '.join(sorted(other))} beside the arrays of several inputs; "
            "it needs x.NAME for each input, and may have x_test.NAME, y and y_test"
        )
    if test and test.keys() != train.keys():
        lone = ", ".join(sorted(test.keys() ^ train.keys()))
        raise DataError(
            f"{what}: only one of x.NAME and x_test.NAME is there for {lone}; store both, or no test images"
        )
    for key, parts in (("x", train), ("x_test", test)):
        if parts:
            images = {name: _images(f"{what}, {key}.{name}", part) for name, part in parts.items()}
            counts = {name: len(part) for name, part in images.items()}
            if len(set(counts.values())) != 1:
                raise DataError(f"{what}: the inputs of {key} have different numbers of images ({counts})")
            joined[key] = join_inputs(images)
    return joined


def _images(what: str, x: NDArray[Any]) -> NDArray[Any]:
    """The images of one input, or of the only one, as ``(n, C, H, W)`` or ``(n, K)``, bytes or finite float32."""
    if x.dtype.names is not None:
        return x
    if x.ndim not in (2, 3, 4):
        raise DataError(
            f"{what} has rank {x.ndim}, shape {x.shape}; store (n, C, H, W), (n, H, W), (n, K), or of sequences "
            "(n, C, 1, T)"
        )
    if x.ndim == 3:
        x = x[:, None]
    if x.dtype == np.uint8:
        return x
    if not (x.dtype == np.bool_ or np.issubdtype(x.dtype, np.number)) or np.issubdtype(x.dtype, np.complexfloating):
        raise DataError(f"{what}: images are {x.dtype}; store them as numbers: uint8 (0..255) or float32")
    if np.issubdtype(x.dtype, np.integer) and x.size and max(abs(int(x.min())), abs(int(x.max()))) > EXACT:
        raise DataError(f"{what}: images hold integers beyond {EXACT}, which float32 does not; scale them first")
    found = x.astype(np.float32)
    bad = np.flatnonzero([not np.isfinite(image).all() for image in found])
    if bad.size:
        raise DataError(f"{what}: image {bad[0]} holds NaN or infinity; clean the data first")
    return found
