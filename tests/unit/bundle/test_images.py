"""Test images as memory files, and random ones."""

from __future__ import annotations

import numpy as np
import pytest

from hwprm.bundle.images import CHUNK_IMAGES, extreme_images, image_files, random_images
from hwprm.core.numerics import integer_range, signed_range
from hwprm.intnet import image_limits


@pytest.mark.parametrize(("bits", "digits"), [(4, 2), (8, 2), (9, 4), (16, 4)])
def test_image_files(bits: int, digits: int) -> None:
    images = random_images(CHUNK_IMAGES + 3, image_limits([((2, 3, 2), signed_range(bits))]), seed=4)
    files = image_files(images, bits)
    assert list(files) == ["images_0.mem", "images_1.mem"]
    lines = [line for text in files.values() for line in text.decode().split("\n") if line]
    assert len(lines) == 2 * CHUNK_IMAGES * 12
    assert {len(line) for line in lines} == {digits}
    words = [int(line, 16) for line in lines]
    signed = [word - (1 << 4 * digits) if word >> 4 * digits - 1 else word for word in words]
    assert signed[: images.size] == images.reshape(-1).tolist()
    assert not any(signed[images.size :])


@pytest.mark.parametrize(("bits", "digits"), [(4, 2), (8, 2), (9, 4), (16, 4)])
def test_beats_of_unsigned_inputs_are_extended_by_zeros(bits: int, digits: int) -> None:
    images = random_images(3, image_limits([((2, 3, 2), integer_range(bits, False))]), seed=4)
    assert images.max() >= 1 << bits - 1
    words = [int(line, 16) for line in image_files(images, bits)["images_0.mem"].decode().split()]
    assert words[: images.size] == images.reshape(-1).tolist() and {len(f"{images.max():x}"), digits} == {
        -(-bits // 4),
        digits,
    }


def test_random_images() -> None:
    limits = image_limits([((1, 4, 4), (-4, 3))])
    one = random_images(50, limits, seed=1)
    assert np.array_equal(one, random_images(50, limits, seed=1))
    assert not np.array_equal(one, random_images(50, limits, seed=2))
    assert (one.min(), one.max(), one.shape) == (-4, 3, (50, 1, 4, 4))


def test_random_images_of_a_signed_and_an_unsigned_input() -> None:
    images = random_images(50, image_limits([((1, 2, 2), (-4, 3)), ((3, 1, 1), (0, 7))]), seed=1)
    assert images.shape == (50, 7)
    assert (images[:, :4].min(), images[:, :4].max(), images[:, 4:].min(), images[:, 4:].max()) == (-4, 3, 0, 7)


def test_extreme_images_reach_both_ends_everywhere() -> None:
    low, high = np.full((2, 3, 3), -8), np.full((2, 3, 3), 7)
    high[1] = 15
    images = extreme_images((low, high))
    assert images.shape == (4, 2, 3, 3)
    assert (images[0] == low).all() and (images[1] == high).all()
    assert (images[2] + images[3] == low + high).all(), "each place is smallest in one and largest in the other"
    assert images[2, 0].tolist() == [[-8, 7, -8], [7, -8, 7], [-8, 7, -8]]
    assert images[2, 1, 0, 0] == 15
