"""Test images: memory files of the testbench, and random images where the stored ones do not suffice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["CHUNK_IMAGES", "extreme_images", "image_files", "random_images", "write_images"]

IntArray = NDArray[np.int64]

#: Images of one memory file.
CHUNK_IMAGES = 16


def image_files(images: IntArray, act_bits: int) -> dict[str, bytes]:
    """`$readmemh` text of `images` ``(n, ...)``, `CHUNK_IMAGES` a file; the last file is filled up with zeros."""
    size = 1 if act_bits <= 8 else 2
    # Signed and unsigned activations alike, extended to whole bytes.
    words = (images.reshape(len(images), -1) & (1 << 8 * size) - 1).astype(f">u{size}")
    files = {}
    for i, start in enumerate(range(0, len(words), CHUNK_IMAGES)):
        chunk = np.zeros((CHUNK_IMAGES, words.shape[1]), words.dtype)
        part = words[start : start + CHUNK_IMAGES]
        chunk[: len(part)] = part
        text = np.frombuffer(chunk.tobytes().hex().encode(), np.uint8).reshape(-1, 2 * size)
        lines = np.full((len(text), 2 * size + 1), ord("\n"), np.uint8)
        lines[:, :-1] = text
        files[f"images_{i}.mem"] = lines.tobytes()
    return files


def write_images(images: IntArray, act_bits: int, folder: Path) -> None:
    """Write `images` ``(n, ...)`` as ``images_<k>.mem`` into `folder`."""
    for name, text in image_files(images, act_bits).items():
        (folder / name).write_bytes(text)


def extreme_images(limits: tuple[IntArray, IntArray]) -> IntArray:
    """Images that reach what random ones do not: all smallest, all largest, and a checkerboard of both, both ways.

    limits as in `hwprm.intnet.image_limits`, arrays of the shape of an image; ``(4, ...)``.
    """
    low, high = limits
    odd = np.indices(low.shape).sum(axis=0) % 2 == 1
    return np.stack([low, high, np.where(odd, high, low), np.where(odd, low, high)]).astype(np.int64)


def random_images(count: int, limits: tuple[IntArray, IntArray], seed: int) -> IntArray:
    """`count` images of uniformly random integers between `limits` (`hwprm.intnet.image_limits`), ends included.

    Same seed, same images.
    """
    low, high = limits
    return np.random.default_rng(seed).integers(low, high, (count, *low.shape), endpoint=True, dtype=np.int64)
