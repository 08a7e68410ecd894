"""One image file to bytes ``(3, size, size)``, as torchvision's transforms make them, with Pillow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Preparation", "centre_crop", "random_crop", "read_picture"]

#: Aspect ratios of a random crop, width by height.
RATIOS = (3 / 4, 4 / 3)
#: How Pillow's modes of more than 8 bits a channel begin.
DEEP = ("I", "F")
#: Draws until a random crop that fits is given up.
TRIES = 10


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How image files become arrays; the options ``data.image_size`` ... ``data.workers`` say what each field is."""

    size: int = 224
    resize: int = 256
    random_crop: bool = True
    crop_area: float = 0.08
    min_side: int = 16
    workers: int = 4


def read_picture(path: Path, min_side: int) -> Image:
    """The image in `path` as RGB: grey levels three times, palettes looked up, transparency dropped.

    Raises DataError, naming the file, when it cannot be read, has 16-bit or float pixels, or a side below `min_side`.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            opened.load()
            mode, (width, height) = opened.mode, opened.size
            image = opened if mode == "RGB" or mode.startswith(DEEP) else opened.convert("RGB")
    except Exception as error:  # a broken file fails in any way: OSError, SyntaxError, ValueError, struct.error ...
        raise DataError(f"{path} is no readable image ({error}); fetch it again or delete it") from error
    if mode.startswith(DEEP):
        raise DataError(f"{path} has pixels of mode {mode!r}, which 8 bits cannot hold; store 8 bits a channel")
    if min(width, height) < min_side:
        raise DataError(
            f"{path} is {width} x {height} pixels, a side below {min_side}; delete it or lower data.min_side"
        )
    return image


def centre_crop(image: Image, resize: int, size: int) -> NDArray[np.uint8]:
    """The middle ``(3, size, size)`` of `image` once its shorter side is `resize`: what evaluation reads.

    Bilinear with antialiasing; sizes and corners are rounded as torchvision's ``Resize`` and ``CenterCrop`` do.
    """
    from PIL.Image import Resampling

    width, height = image.size
    short = min(width, height)
    wide, high = (resize if side == short else int(resize * side / short) for side in (width, height))
    image = image.resize((wide, high), Resampling.BILINEAR)
    left, top = round((wide - size) / 2), round((high - size) / 2)
    return _planes(image.crop((left, top, left + size, top + size)))


def random_crop(image: Image, size: int, area: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random part of `image`, `area` to 1 of it and of aspect 3/4 to 4/3, as ``(3, size, size)``, mirrored or not.

    That of Szegedy et al. 2014 (arXiv 1409.4842, section 6), in torchvision's form (``RandomResizedCrop``).
    """
    from PIL.Image import Resampling, Transpose

    image = image.crop(_random_box(*image.size, area, rng)).resize((size, size), Resampling.BILINEAR)
    return _planes(image.transpose(Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image)


def _random_box(width: int, height: int, area: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    for _ in range(TRIES):
        target = width * height * rng.uniform(area, 1.0)
        ratio = math.exp(rng.uniform(math.log(RATIOS[0]), math.log(RATIOS[1])))
        w, h = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return left, top, left + w, top + h
    # A long strip: its middle, with the nearest allowed aspect.
    w, h = min(width, round(height * RATIOS[1])), min(height, round(width / RATIOS[0]))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _planes(image: Image) -> NDArray[np.uint8]:
    return np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)
