"""Light augmentation of small images, on batches, from an explicit random source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hwprm.config.train import TrainConfig
from hwprm.core.errors import ModelError

__all__ = ["Augmentation", "augment_batch", "cut_out", "paste", "resolve"]

#: What `Augmentation.kind` may be.
KINDS = ("none", "shift", "affine", "elastic", "crop_flip")

#: Ranges of the affine map: rotation in degrees, scale and shear relative, shift in pixels.
ROTATION, SCALE, SHEAR, SHIFT = 10.0, 0.1, 0.1, 2.0
#: Elastic bend: standard deviation in pixels at the nodes of a grid of this many points a side.
BEND, BEND_GRID = 0.7, 5
#: Pixels that a crop moves the image by, at most.
CROP = 4


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to training images: options of `TrainConfig`, ``auto`` resolved."""

    kind: str
    clean_share: float = 0.0
    cutout: int = 0
    cutmix: float = 0.0

    @classmethod
    def of(cls, config: TrainConfig, data_name: str) -> Self:
        """What `config` means for the data set `data_name`."""
        return cls(
            kind=resolve(config.augment, data_name),
            clean_share=config.clean_share,
            cutout=config.cutout,
            cutmix=config.cutmix,
        )

    @classmethod
    def noted(cls, history: Mapping[str, Any]) -> Self | None:
        """What a model's `history` says of its last training; None where it says nothing.

        Raises ModelError for what no training notes.
        """
        values = history.get("augmentation")
        if values is None:
            return None
        try:
            made = cls(
                kind=values["kind"],
                clean_share=float(values["clean_share"]),
                cutout=int(values["cutout"]),
                cutmix=float(values.get("cutmix", 0.0)),  # histories from before there was any
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the model's history has {values!r} as its augmentation; train it again") from error
        shares = (made.clean_share, made.cutmix)
        if made.kind not in KINDS or not all(0 <= share <= 1 for share in shares) or made.cutout < 0:
            raise ModelError(f"the model's history has {values!r} as its augmentation; train it again")
        return made

    def to_json(self) -> dict[str, Any]:
        """For the history of a model."""
        return asdict(self)

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """`images` ``(n, C, H, W)`` as training sees them, parts of others among them pasted in."""
        moved = self.moved(images, rng)
        return self.mixed(moved, moved[self.partners(len(moved), rng)], rng)[0] if self.cutmix else moved

    @property
    def draws(self) -> bool:
        """Whether anything random is done to images."""
        return self.kind != "none" or self.cutmix > 0

    def moved(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """`images` ``(n, C, H, W)``, each moved and cut out by itself."""
        if self.kind == "none":
            return images
        moved = augment_batch(images, self.kind, self.clean_share, rng)
        return cut_out(moved, self.cutout, self.clean_share, rng)

    def partners(self, count: int, rng: np.random.Generator) -> Tensor:
        """Which of `count` images each takes a part of: every one lends one, some perhaps to themselves."""
        return torch.from_numpy(rng.permutation(count))

    def mixed(self, images: Tensor, others: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """`images` ``(n, C, H, W)``, some with a part of `others`, and what share ``(n,)`` of each that is."""
        return paste(images, others, self.cutmix * (1 - self.clean_share), rng)


def resolve(kind: str, data_name: str) -> str:
    """What ``auto`` means for the data set: affine for digits, none where it could change the class."""
    return {"mnist": "affine", "cifar10": "crop_flip"}.get(data_name, "none") if kind == "auto" else kind


def augment_batch(images: Tensor, kind: str, clean_share: float, rng: np.random.Generator) -> Tensor:
    """`images` ``(n, C, H, W)`` float, each moved at random; `clean_share` of them (at random) stay as they are.

    `kind` is none, shift (whole pixels), affine or elastic (both bilinear), or crop_flip (whole pixels, no other
    interpolation); what comes in from outside is 0.
    """
    if kind == "none":
        return images
    n, _, h, w = images.shape
    if kind == "crop_flip":
        moved = _crop_flip(images, rng)
    else:
        theta = torch.from_numpy(_shifts(n, h, w, rng) if kind == "shift" else _affine(n, h, w, rng))
        grid = functional.affine_grid(theta.to(images.dtype), list(images.shape), align_corners=False)
        if kind == "elastic":
            grid = grid + _bend(n, h, w, rng).to(images.dtype)
        mode = "nearest" if kind == "shift" else "bilinear"
        moved = functional.grid_sample(images, grid, mode=mode, align_corners=False)
    clean = torch.from_numpy(rng.random(n) < clean_share)
    return torch.where(clean[:, None, None, None], images, moved)


def cut_out(images: Tensor, side: int, clean_share: float, rng: np.random.Generator) -> Tensor:
    """`images` ``(n, C, H, W)``, each 0 in a square of `side` pixels around a random pixel; `clean_share` as they are.

    The square may reach over the edge (DeVries and Taylor, arXiv 1708.04552, section 3). With a `side` of 0 nothing is
    drawn.
    """
    if not side:
        return images
    n, _, h, w = images.shape
    hole = _rectangles((h, w), (np.full(n, side), np.full(n, side)), rng)
    hole &= (rng.random(n) >= clean_share)[:, None, None]
    return images.masked_fill(torch.from_numpy(hole)[:, None], 0.0)


def paste(images: Tensor, others: Tensor, chance: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`images` ``(n, C, H, W)``, each with probability `chance` with a rectangle of the same place of `others`.

    A rectangle has the image's proportions, a share of its area that is drawn uniformly from 0 to 1, and its middle at
    a random pixel; it may reach over the edge. The second result ``(n,)`` is the share that is the other's in the end.
    (CutMix: Yun et al., arXiv 1905.04899, section 3.1, with alpha = 1; every image draws for itself.)
    """
    n, _, h, w = images.shape
    side = np.sqrt(rng.random(n))
    part = _rectangles((h, w), (np.rint(h * side).astype(int), np.rint(w * side).astype(int)), rng)
    part &= (rng.random(n) < chance)[:, None, None]
    share = torch.from_numpy(part.mean(axis=(1, 2), dtype=np.float64).astype(np.float32))
    return torch.where(torch.from_numpy(part)[:, None], others, images), share


def _rectangles(
    sizes: tuple[int, int], sides: tuple[NDArray[np.int64], NDArray[np.int64]], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Where an image ``(n, h, w)`` lies within a rectangle of its `sides`, height and width, around a random pixel."""
    within = []
    for size, side in zip(sizes, sides, strict=True):
        start = (rng.integers(0, size, len(side)) - side // 2)[:, None]
        at = np.arange(size)
        within.append((at >= start) & (at < start + side[:, None]))
    return np.asarray(within[0][:, :, None] & within[1][:, None, :])


def _crop_flip(images: Tensor, rng: np.random.Generator) -> Tensor:
    n, channels, h, w = images.shape
    padded = functional.pad(images, (CROP, CROP, CROP, CROP))
    top, left = rng.integers(0, 2 * CROP + 1, (2, n))
    rows = top[:, None] + np.arange(h)
    cols = left[:, None] + np.where(rng.random(n) < 0.5, 1, -1)[:, None] * np.arange(w)
    # A column that counts down ends where the mirrored image begins.
    cols = np.where(cols[:, 1:2] < cols[:, :1], cols + w - 1, cols)
    index = torch.from_numpy(rows[:, :, None] * padded.shape[3] + cols[:, None, :]).reshape(n, 1, -1)
    return padded.flatten(2).gather(2, index.expand(-1, channels, -1)).reshape(n, channels, h, w)


def _bend(n: int, h: int, w: int, rng: np.random.Generator) -> Tensor:
    """Displacements ``(n, h, w, 2)`` in torch's coordinates: random at the nodes of a coarse grid, smooth between."""
    coarse = torch.from_numpy(
        rng.normal(0.0, BEND, (n, 2, BEND_GRID, BEND_GRID)) * 2.0 / np.array([w, h])[:, None, None]
    )
    fine = functional.interpolate(coarse, size=(h, w), mode="bicubic", align_corners=True)
    return fine.permute(0, 2, 3, 1)


def _shifts(n: int, h: int, w: int, rng: np.random.Generator) -> NDArray[np.float64]:
    theta = np.tile(np.eye(2, 3), (n, 1, 1))
    reach = int(SHIFT)
    # One pixel is 2/size in torch's coordinates, which run from -1 to 1 over the image.
    theta[:, :, 2] = rng.integers(-reach, reach + 1, (n, 2)) * 2.0 / np.array([w, h])
    return theta


def _affine(n: int, h: int, w: int, rng: np.random.Generator) -> NDArray[np.float64]:
    u = rng.uniform(-1.0, 1.0, (6, n))
    angle = np.deg2rad(ROTATION) * u[0]
    sx, sy, shear = 1 + SCALE * u[1], 1 + SCALE * u[2], SHEAR * u[3]
    theta = np.empty((n, 2, 3))
    theta[:, 0, 0] = np.cos(angle) * sx
    theta[:, 0, 1] = -np.sin(angle) + shear
    theta[:, 1, 0] = np.sin(angle)
    theta[:, 1, 1] = np.cos(angle) * sy
    theta[:, 0, 2] = SHIFT * u[4] * 2.0 / w
    theta[:, 1, 2] = SHIFT * u[5] * 2.0 / h
    return theta
