"""Small folders of images, a folder for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from hwprm.graph import AdaptiveAvgPool2d, Conv2d, Flatten, Graph, Input, Linear, Relu

CLASSES = ("ant", "bee", "cat")


def small_graph(classes: int, size: int) -> Graph:
    """conv 3->4 3x3 with padding, relu, average, fc: random weights, for images of `size` pixels."""
    rng = np.random.default_rng(0)
    weight, fc = rng.normal(size=(4, 3, 3, 3)), rng.normal(size=(classes, 4))
    return Graph(
        (
            Input(name="image", inputs=(), shape=(3, size, size)),
            Conv2d(name="conv", inputs=("image",), weight=weight, bias=np.zeros(4), padding=(1, 1, 1, 1)),
            Relu(name="relu", inputs=("conv",)),
            AdaptiveAvgPool2d(name="pool", inputs=("relu",), size=(1, 1)),
            Flatten(name="flat", inputs=("pool",)),
            Linear(name="fc", inputs=("flat",), weight=fc, bias=np.zeros(classes)),
        ),
        ("fc",),
    )


def write_class_folder(root: Path, train: int, val: int, *, size: int = 24, classes: tuple[str, ...] = CLASSES) -> Path:
    """`train` and `val` noisy images of each class, class k bright in channel k; widths and heights differ."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for label, name in enumerate(classes):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                shape = (size + i % 3, size + 2 * (i % 2), 3)
                pixels = rng.integers(0, 90, shape)
                pixels[..., label % 3] += 120
                suffix = ("JPEG", "jpg", "png")[i % 3]
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}_{i}.{suffix}")
    return root
