"""Images that are too many to hold: an array in what reads it by index, made when it is read. numpy only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import DataError

__all__ = ["Images", "LazyImages", "plain"]

#: Bytes that `LazyImages.__array__` holds at most: whoever asks for the whole of a larger set has not thought of it.
HELD_BYTES = 4 << 30
#: Images that it makes at a time.
BATCH = 256


class LazyImages(ABC):
    """Images ``(n, C, H, W)`` uint8 that are made when they are read.

    Indexed like an array, along the images only: ``x[i]`` is ``(C, H, W)``, ``x[a:b]`` and ``x[array of integers]``
    are ``(m, C, H, W)``. `take` chooses without reading. Training images may be moved at random when they are read;
    `plain` are the same ones as evaluation reads them.
    """

    dtype = np.dtype(np.uint8)

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int, int]:
        """``(n, C, H, W)``."""

    @abstractmethod
    def __getitem__(self, index: Any) -> NDArray[np.uint8]: ...

    @abstractmethod
    def take(self, index: NDArray[np.int64]) -> Self:
        """The images `index` ``(m,)``, in this order, none of them read."""

    @abstractmethod
    def plain(self) -> Self:
        """These images without random moves."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Digest that changes when other images are read; no image is read for it."""

    @property
    def ndim(self) -> int:
        """4."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of bytes of all images."""
        n, channels, height, width = self.shape
        return n * channels * height * width

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All images at once. Raises DataError where they would take more than 4 GiB."""
        if self.size > HELD_BYTES:
            raise DataError(
                f"{len(self)} images of {self.shape[1:]} are {self.size / 2**30:.1f} GiB, too many to hold at once; "
                "read them in batches"
            )
        held = np.empty(self.shape, self.dtype)
        for start in range(0, len(self), BATCH):
            held[start : start + BATCH] = self[start : start + BATCH]
        return held if dtype is None else held.astype(dtype, copy=False)


#: What a data set holds.
Images = NDArray[Any] | LazyImages


def plain(images: Images) -> Images:
    """`images` as evaluation and calibration read them: without random moves."""
    return images.plain() if isinstance(images, LazyImages) else images
