"""`Dataset`: checked arrays of images and labels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import DataError
from hwprm.graph import Images, LazyImages, Scale, Shapes, image_shapes

__all__ = ["Dataset", "split_validation", "stratified_order"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Images to classify: ``(n, C, H, W)``, or vectors ``(n, K)``, uint8 or float32; labels ``(n,)`` int64 in
    ``0..classes-1``.

    For a network with several inputs the images are a structured array ``(n,)``: a field ``(C, H, W)`` or ``(K,)`` of
    one of these types for each input (`hwprm.graph.join_inputs` makes one). A set that is there to calibrate and verify
    with, not to train with, may lack labels: they are empty then, and `classes` is 0. Images may be lazy
    (`hwprm.graph.LazyImages`): then nothing here reads them.
    Raises DataError, naming the split, when a split is empty, counts or shapes differ, a label is out of range,
    or a float image is not finite.
    """

    #: Short name: ``mnist``, ``fashion_mnist``, ``cifar10`` or the stem of the user's file.
    name: str
    #: Where the arrays came from, in words for a report.
    source: str
    x_train: Images
    y_train: NDArray[np.int64]
    x_test: Images
    y_test: NDArray[np.int64]
    #: Number of classes; 0 without labels.
    classes: int
    #: Why there are no labels, where there are none.
    unlabelled: str = ""

    @property
    def input_scale(self) -> Scale:
        """Real value of one step of the stored images: 1/255 for bytes, 1.0 for floats; of several inputs by name."""
        fields = self.x_train.dtype.fields
        return {name: _step(kind[0].base) for name, kind in fields.items()} if fields else _step(self.x_train.dtype)

    @property
    def image_shape(self) -> Shapes:
        """``(C, H, W)``, of vectors ``(K,)``; of several inputs by name."""
        return image_shapes(self.x_train)

    @property
    def test_labels(self) -> NDArray[np.int64] | None:
        """`y_test`, or None where there are no labels."""
        return self.y_test if self.classes else None

    @cached_property
    def fingerprint(self) -> str:
        """Digest of everything that training and testing read; of lazy images, of the files they come from."""
        # Made once for each object: nobody writes to the arrays of a data set.
        digest = hashlib.sha256(f"{self.name} {self.x_train.dtype} {self.x_train.shape}".encode())
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(array.fingerprint.encode() if isinstance(array, LazyImages) else array.tobytes())
        return digest.hexdigest()

    def __post_init__(self) -> None:
        if self.classes < 2 and (self.classes or len(self.y_train) or len(self.y_test)):
            raise DataError(f"{self.name}: {self.classes} class(es); give labels of at least two classes")
        for split, x, y in (("train", self.x_train, self.y_train), ("test", self.x_test, self.y_test)):
            _check_split(f"{self.name} {split}", x, y, self.classes)
        if image_shapes(self.x_train) != image_shapes(self.x_test) or self.x_train.dtype != self.x_test.dtype:
            raise DataError(
                f"{self.name}: train images are {self.x_train.dtype} {self.x_train.shape[1:]}, test images "
                f"{self.x_test.dtype} {self.x_test.shape[1:]}; store both splits alike"
            )


def _step(dtype: np.dtype[Any]) -> float:
    return 1 / 255 if dtype == np.uint8 else 1.0


def _check_split(what: str, x: Images, y: NDArray[np.int64], classes: int) -> None:
    if isinstance(x, LazyImages) or x.dtype.names is None:
        _check_images(what, x, (2, 4))
    else:
        for name in x.dtype.names:
            _check_images(f"{what}, input {name!r}", x[name], (2, 4))
    if classes:
        _check_labels(what, x, y, classes)
    if x.size == 0:
        raise DataError(f"{what}: the set is empty, shape {x.shape}; give at least one image")


def _check_images(what: str, x: Images, ranks: tuple[int, ...]) -> None:
    if x.ndim not in ranks:
        raise DataError(f"{what}: images have rank {x.ndim}, shape {x.shape}; reshape them to (n, C, H, W) or (n, K)")
    if x.dtype not in (np.uint8, np.float32):
        raise DataError(f"{what}: images are {x.dtype}; store them as uint8 (0..255) or float32")
    if isinstance(x, LazyImages):
        return
    if x.dtype != np.uint8 and not np.all(np.isfinite(x)):
        bad = int(np.flatnonzero(~np.isfinite(x.reshape(len(x), -1)).all(axis=1))[0])
        raise DataError(f"{what}: image {bad} holds NaN or infinity; clean the data before training")


def _check_labels(what: str, x: Images, y: NDArray[np.int64], classes: int) -> None:
    if y.ndim != 1 or y.dtype != np.int64:
        raise DataError(f"{what}: labels are {y.dtype} of shape {y.shape}; store one int64 class number per image")
    if len(x) != len(y):
        raise DataError(f"{what}: {len(x)} images but {len(y)} labels; the two files do not belong together")
    if y.size and (y.min() < 0 or y.max() >= classes):
        bad = int(np.flatnonzero((y < 0) | (y >= classes))[0])
        raise DataError(f"{what}: label {y[bad]} of image {bad} is outside 0..{classes - 1}; mend the label file")


def stratified_order(y: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """A seeded order of all indices in which every prefix holds the classes in proportion.

    Each class is shuffled, then image k of n of a class is placed at ``(k + 1/2) / n``; ties go to the lower class.
    """
    rng = np.random.default_rng(seed)
    place = np.empty(len(y))
    for label in np.unique(y):
        mine = rng.permutation(np.flatnonzero(y == label))
        place[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    return np.lexsort((y, place)).astype(np.int64)


def split_validation(ds: Dataset, n: int, seed: int) -> tuple[Dataset, Images, NDArray[np.int64]]:
    """Take `n` training images out for validation: ``(ds without them, their images, their labels)``.

    The choice is seeded and stratified; both parts keep file order; the test split is untouched. Lazy images are
    not read, and those held out are the plain ones.
    Raises DataError unless ``1 <= n < number of training images``.
    """
    total = len(ds.x_train)
    if not 1 <= n < total:
        raise DataError(f"{ds.name}: {n} validation images asked of {total} training images; take 1..{total - 1}")
    if not ds.classes:
        why = f" ({ds.unlabelled})" if ds.unlabelled else ""
        raise DataError(f"{ds.name} has no labels{why}, so nothing can be judged on validation images; hold none out")
    order = stratified_order(ds.y_train, seed)
    held, kept = np.sort(order[:n]), np.sort(order[n:])
    x, y = ds.x_train, ds.y_train
    if isinstance(x, LazyImages):
        return replace(ds, x_train=x.take(kept), y_train=y[kept]), x.plain().take(held), y[held]
    return replace(ds, x_train=x[kept], y_train=y[kept]), x[held], y[held]
