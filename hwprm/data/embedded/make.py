"""Make the embedded subset again from the released MNIST files::

    python -m hwprm.data.embedded.make DATA_DIR mnist_subset.gz

It takes the first 1,000 train and 200 test images of each class and keeps file order. The raw bytes are fixed by
that rule; the packed bytes also depend on the zlib that packs them, so a new digest goes into `__init__.py`.
"""

from __future__ import annotations

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwprm.data.dataset import Dataset
from hwprm.data.embedded import PER_CLASS
from hwprm.data.idx import load_idx_set
from hwprm.graph import Images

__all__ = ["pack"]


def pack(full: Dataset) -> bytes:
    """The packed subset of the full set: images and labels of train, then of test."""
    train = _first_of_each(full.x_train, full.y_train, PER_CLASS[0])
    test = _first_of_each(full.x_test, full.y_test, PER_CLASS[1])
    return gzip.compress(train + test, compresslevel=9, mtime=0)


def _first_of_each(x: Images, y: NDArray[np.int64], count: int) -> bytes:
    firsts = [np.flatnonzero(y == label)[:count] for label in range(10)]
    chosen = np.sort(np.concatenate(firsts))
    return x[chosen].tobytes() + y[chosen].astype(np.uint8).tobytes()


def main(data_dir: str, target: str) -> None:
    """Write `target` from the released files in `data_dir` and print its size and SHA-256."""
    packed = pack(load_idx_set("mnist", Path(data_dir)))
    Path(target).write_bytes(packed)
    print(f"{target}: {len(packed)} bytes, SHA-256 {hashlib.sha256(packed).hexdigest()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
