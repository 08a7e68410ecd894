"""Augmentation moves images, by whole pixels where promised, and leaves the clean share alone."""

import numpy as np
import torch

from hwprm.training.augment import Augmentation, augment_batch, paste, resolve

IMAGES = torch.rand(40, 2, 9, 7, generator=torch.Generator().manual_seed(0))


def shifted(image, dy, dx):
    """image moved by (dy, dx), zeros coming in."""
    out = np.zeros_like(image)
    h, w = image.shape[1:]
    ys, xs = slice(max(0, dy), h + min(0, dy)), slice(max(0, dx), w + min(0, dx))
    out[:, ys, xs] = image[:, max(0, -dy) : h + min(0, -dy), max(0, -dx) : w + min(0, -dx)]
    return out


def test_shift_is_exact_and_within_two_pixels():
    moved = augment_batch(IMAGES, "shift", 0.0, np.random.default_rng(0)).numpy()
    seen = set()
    for before, after in zip(IMAGES.numpy(), moved, strict=True):
        matches = {
            (dy, dx) for dy in range(-2, 3) for dx in range(-2, 3) if np.array_equal(shifted(before, dy, dx), after)
        }
        assert len(matches) == 1
        seen |= matches
    assert len(seen) > 10


def test_clean_share_is_bitwise_clean():
    rng = np.random.default_rng(0)
    assert torch.equal(augment_batch(IMAGES, "affine", 1.0, rng), IMAGES)
    half = augment_batch(IMAGES, "affine", 0.5, np.random.default_rng(1))
    same = [torch.equal(a, b) for a, b in zip(half, IMAGES, strict=True)]
    assert 10 < sum(same) < 30
    assert torch.equal(augment_batch(IMAGES, "none", 0.0, rng), IMAGES)


def test_affine_stays_close():
    ramp = torch.zeros(64, 1, 28, 28)
    ramp[:, :, 12:16, 12:16] = 1.0
    moved = augment_batch(ramp, "affine", 0.0, np.random.default_rng(2))
    mass = moved.sum(dim=(1, 2, 3)) / 16
    assert moved.shape == ramp.shape and (mass > 0.7).all() and (mass < 1.4).all()
    rows = torch.arange(28.0)
    centre = (moved.sum(dim=(1, 3)) * rows).sum(dim=1) / moved.sum(dim=(1, 2, 3))
    assert (centre - 13.5).abs().max() < 2.5 and (centre - 13.5).abs().max() > 1


def test_auto_means_affine_for_digits_only():
    assert resolve("auto", "mnist") == "affine"
    assert resolve("auto", "fashion_mnist") == "none"
    assert resolve("shift", "fashion_mnist") == "shift"


def test_a_rectangle_of_another_image_is_pasted_in():
    images, others = torch.zeros(2000, 2, 8, 12), torch.ones(2000, 2, 8, 12)
    mixed, share = paste(images, others, 0.75, np.random.default_rng(0))
    torch.testing.assert_close(mixed.mean((1, 2, 3)), share)
    assert torch.equal(mixed[:, 0], mixed[:, 1]), "all channels alike"
    whole = (share == 0).float().mean()
    assert 0.24 < whole < 0.32, "a few rectangles are smaller than a pixel"
    # Shares are drawn evenly from 0 to 1, and lose what reaches over the edge.
    found = share[share > 0]
    assert 0.3 < found.mean() < 0.45 and found.max() > 0.9
    for image in mixed[share > 0][:50, 0]:
        rows, cols = image.any(1).nonzero(), image.any(0).nonzero()
        assert image[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1].all(), "one rectangle"
    assert torch.equal(paste(images, others, 0.0, np.random.default_rng(0))[0], images)


def test_what_training_leaves_as_it_is_recalibration_does_too():
    """Without any augmentation nothing is cut out: statistics are of the images that were trained on."""
    images = torch.ones(50, 1, 8, 8)
    assert Augmentation(kind="none", cutout=4)(images, np.random.default_rng(0)) is images
