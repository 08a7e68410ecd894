"""Test images as memory files, and random ones."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.bundle.images import CHUNK_IMAGES, image_files, random_images


@pytest.mark.parametrize(("bits", "digits"), [(4, 2), (8, 2), (9, 4), (16, 4)])
def test_image_files(bits: int, digits: int) -> None:
    images = random_images(CHUNK_IMAGES + 3, (2, 3, 2), bits, seed=4)
    files = image_files(images, bits)
    assert list(files) == ["images_0.mem", "images_1.mem"]
    lines = [line for text in files.values() for line in text.decode().split("\n") if line]
    assert len(lines) == 2 * CHUNK_IMAGES * 12
    assert {len(line) for line in lines} == {digits}
    words = [int(line, 16) for line in lines]
    signed = [word - (1 << 4 * digits) if word >> 4 * digits - 1 else word for word in words]
    assert signed[: images.size] == images.reshape(-1).tolist()
    assert not any(signed[images.size :])


def test_random_images() -> None:
    one = random_images(50, (1, 4, 4), 3, seed=1)
    assert np.array_equal(one, random_images(50, (1, 4, 4), 3, seed=1))
    assert not np.array_equal(one, random_images(50, (1, 4, 4), 3, seed=2))
    assert (one.min(), one.max(), one.shape) == (-4, 3, (50, 1, 4, 4))
