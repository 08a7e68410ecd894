"""Images in a folder for each class, as ImageNet is laid out: ``ROOT/train/CLASS/*`` and ``ROOT/val/CLASS/*``."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import DataError, ToolError
from hwprm.data.dataset import Dataset, stratified_order
from hwprm.data.pictures import Preparation, centre_crop, random_crop, read_picture
from hwprm.graph import LazyImages

__all__ = ["FolderImages", "load_image_folder"]

SUFFIXES = (".jpeg", ".jpg", ".png")
#: Of the order of the images and of random crops; the batches of training differ with its own seed.
SEED = 0
#: Bytes of evaluation images that are kept, so that a set that fits is decoded once.
CACHE_BYTES = 512 << 20

IntArray = NDArray[np.int64]
BytesArray = NDArray[np.uint8]


class FolderImages(LazyImages):
    """Image files, decoded when they are read, several at a time.

    Plain ones are resized and cropped in the middle; the first that fit into `CACHE_BYTES` are kept. Those for
    training are cropped and mirrored at random, anew for every set of images that is asked for together: the draws are
    a function of the image and of that set, so a training that is taken up again reads what it would have read.
    Raises DataError, naming the file, when an image cannot be used.
    """

    def __init__(self, root: Path, files: Sequence[str], preparation: Preparation, *, random: bool = False) -> None:
        self._root, self._files, self._preparation = root, files, preparation
        self._random = random and preparation.random_crop
        self._chosen: IntArray = np.arange(len(files), dtype=np.int64)
        self._cache: dict[int, BytesArray] = {}

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(n, 3, size, size)``."""
        size = self._preparation.size
        return len(self._chosen), 3, size, size

    @property
    def files(self) -> tuple[Path, ...]:
        """The file of each image."""
        return tuple(self._root / self._files[number] for number in self._chosen)

    @property
    def fingerprint(self) -> str:
        """Digest of the files' names and sizes, their order, and how they are read.

        Raises DataError when a file went away.
        """
        digest = hashlib.sha256(repr((self._preparation, self._random)).encode())
        for number in self._chosen:
            file = self._files[number]
            try:
                digest.update(f"{file} {(self._root / file).stat().st_size}\n".encode())
            except OSError as error:
                raise DataError(f"{self._root / file} went away ({error.strerror}); start again") from error
        return digest.hexdigest()

    def take(self, index: IntArray) -> Self:
        """The images `index` ``(m,)``; what was decoded of them is shared."""
        return self._view(self._chosen[index], self._random)

    def plain(self) -> Self:
        """These images with crops from the middle."""
        return self._view(self._chosen, False)

    def _view(self, chosen: IntArray, random: bool) -> Self:
        view = object.__new__(type(self))
        view.__dict__ |= self.__dict__ | {"_chosen": chosen, "_random": random}
        return view

    def __getitem__(self, index: Any) -> BytesArray:
        chosen = self._chosen[index]
        images = self._read(np.atleast_1d(chosen))
        return images if np.ndim(chosen) else images.reshape(self.shape[1:])

    def _read(self, chosen: IntArray) -> BytesArray:
        asked = zlib.crc32(chosen.tobytes())
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)

        def fill(place: int) -> None:
            images[place] = self._image(int(chosen[place]), asked)

        with ThreadPoolExecutor(self._preparation.workers) as pool:
            for _ in pool.map(fill, range(len(chosen))):  # hands on the first error
                pass
        return images

    def _image(self, number: int, asked: int) -> BytesArray:
        made, path = self._preparation, self._root / self._files[number]
        if self._random:
            rng = np.random.default_rng([SEED, asked, number])
            return random_crop(read_picture(path, made.min_side), made.size, made.crop_area, rng)
        if number in self._cache:
            return self._cache[number]
        image = centre_crop(read_picture(path, made.min_side), made.resize, made.size)
        # Kept or not, the bytes are the same: threads that add one too many do no harm.
        if (len(self._cache) + 1) * image.nbytes <= CACHE_BYTES:
            self._cache[number] = image
        return image


def load_image_folder(root: Path, preparation: Preparation | None = None) -> Dataset:
    """The data set in `root`: training images of ``train``, test images of ``val``, a class for each folder in them.

    Classes are numbered in the order of their names in ``train``, which for ImageNet is everyone's. Both splits stand
    in a seeded order in which every beginning holds the classes in proportion, so that the first images stand for all
    where a verb takes only some. Files end in .jpeg, .jpg or .png, in either case; others are not looked at.
    No image is read here. Raises DataError when a split is missing, a class is empty, or one of ``val`` is not in
    ``train``; ToolError without Pillow.
    """
    if find_spec("PIL") is None:
        raise ToolError("a folder of images needs Pillow to be read; install it with: pip install 'hwprm[train]'")
    made = preparation or Preparation()
    for split in ("train", "val"):
        if not (root / split).is_dir():
            raise DataError(
                f"{root} has no folder {split!r}; lay the images out as {split}/CLASS/FILE.jpg beneath it, "
                "with folders train and val"
            )
    classes = {name: label for label, name in enumerate(_classes(root / "train"))}
    tested = _classes(root / "val")
    if unknown := [name for name in tested if name not in classes]:
        raise DataError(
            f"{root / 'val'} has {len(unknown)} class(es) that train lacks, {unknown[0]!r} first; "
            "name the folders of both splits alike"
        )
    x_train, y_train = _split(root, "train", classes, made)
    x_test, y_test = _split(root, "val", {name: classes[name] for name in tested}, made)
    return Dataset(
        name=root.resolve().name,
        source=f"class folders in {root.name or root}, {made.size} x {made.size}",
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        classes=len(classes),
    )


def _classes(split: Path) -> list[str]:
    names = sorted(entry.name for entry in split.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(f"{split} has no folder of a class; put the images of each class into a folder of their own")
    return names


def _split(root: Path, split: str, classes: Mapping[str, int], made: Preparation) -> tuple[FolderImages, IntArray]:
    """The images of one split, and their labels ``(n,)``."""
    files: list[str] = []
    labels: list[int] = []
    for name, label in classes.items():
        entries = sorted(entry.name for entry in (root / split / name).iterdir() if not entry.name.startswith("."))
        found = [entry for entry in entries if entry.lower().endswith(SUFFIXES)]
        if not found:
            raise DataError(
                f"{root / split / name} holds no image ({len(entries)} other file(s)); "
                f"put files {', '.join(SUFFIXES)} there or delete the folder"
            )
        files += [f"{split}/{name}/{entry}" for entry in found]
        labels += [label] * len(found)
    y = np.array(labels, np.int64)
    order = stratified_order(y, SEED)
    return FolderImages(root, files, made, random=split == "train").take(order), y[order]
