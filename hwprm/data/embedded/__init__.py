"""The MNIST subset inside the package: 10,000 train and 2,000 test images, balanced, in file order.

`make.py` beside this file made ``mnist_subset.gz`` from the released set; ``LICENSE.md`` has its terms.
The file is a gzip stream of train images, train labels, test images, test labels, one byte per value.
"""

from __future__ import annotations

import gzip
import hashlib
from importlib.resources import files

import numpy as np

from hwprm.core.errors import DataError
from hwprm.data.dataset import Dataset

__all__ = ["FILE", "PER_CLASS", "SHA256", "load_embedded"]

FILE = "mnist_subset.gz"
SHA256 = "8b5cde6558a3e092c68c271dc89233dd8793565e63cbf60798e5e4cbb85bf996"

#: Images per class in the train and the test split.
PER_CLASS = (1000, 200)
CLASSES = 10
IMAGE = (1, 28, 28)


def load_embedded() -> Dataset:
    """The embedded MNIST subset. Raises DataError when the file in the package is not the one that was shipped."""
    packed = files(__package__).joinpath(FILE).read_bytes()
    return unpack(packed)


def unpack(packed: bytes) -> Dataset:
    """Check the digest of `packed`, the bytes of `FILE`, and cut it into arrays. Raises DataError on another digest."""
    digest = hashlib.sha256(packed).hexdigest()
    if digest != SHA256:
        raise DataError(
            f"the embedded {FILE} has SHA-256 {digest}, shipped was {SHA256}; "
            "the installation is damaged, install hwprm again"
        )
    raw = np.frombuffer(gzip.decompress(packed), np.uint8).copy()  # writable, as torch wants it
    train, test = (CLASSES * per_class for per_class in PER_CLASS)
    pixels = int(np.prod(IMAGE))
    x_train, y_train, x_test, y_test = np.split(raw, np.cumsum([train * pixels, train, test * pixels]))
    return Dataset(
        name="mnist",
        source=f"embedded subset ({train:,} train, {test:,} test images)",
        x_train=x_train.reshape(-1, *IMAGE),
        y_train=y_train.astype(np.int64),
        x_test=x_test.reshape(-1, *IMAGE),
        y_test=y_test.astype(np.int64),
        classes=CLASSES,
    )
