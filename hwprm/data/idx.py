"""MNIST and Fashion-MNIST in their original format: four gzipped IDX files.

A header of big-endian 32-bit words (magic, count, then height and width for images), then one byte per value.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import DataError
from hwprm.data.dataset import Dataset

__all__ = ["FILES", "SHA256", "load_idx_set", "read_idx"]

#: Images magic 2051 = 0x803: unsigned bytes, rank 3. Labels magic 2049 = 0x801: unsigned bytes, rank 1.
MAGIC_IMAGES, MAGIC_LABELS = 2051, 2049

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

#: SHA-256 of the released files, in the order of `FILES`.
SHA256 = {
    "mnist": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fashion_mnist": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}


def load_idx_set(name: str, folder: Path) -> Dataset:
    """Load set `name` from the four files in ``folder/name`` or in `folder` itself.

    Raises DataError when a file is missing, cut short, of another format, or of another set.
    """
    home = folder / name if (folder / name).is_dir() else folder
    missing = [file for file in FILES if not (home / file).is_file()]
    if missing:
        raise DataError(
            f"{name}: {missing[0]} is neither in {folder / name} nor in {folder}; "
            "put the four released .gz files there or name another data folder"
        )
    _refuse_other_set(name, home)
    x_train, y_train, x_test, y_test = (read_idx(home / file) for file in FILES)
    return Dataset(
        name=name,
        source=f"full set in {home}",
        x_train=x_train[:, None],
        y_train=y_train.astype(np.int64),
        x_test=x_test[:, None],
        y_test=y_test.astype(np.int64),
        classes=10,
    )


def _refuse_other_set(name: str, home: Path) -> None:
    """Both sets use the same file names, so a folder may hold the wrong one."""
    digest = hashlib.sha256((home / FILES[3]).read_bytes()).hexdigest()
    for other, digests in SHA256.items():
        if other != name and digest == digests[3]:
            raise DataError(f"{home} holds {other}, not {name}; ask for {other!r} or name another data folder")


def read_idx(path: Path) -> NDArray[Any]:
    """The bytes of one gzipped IDX file: ``(n, H, W)`` images or ``(n,)`` labels, uint8, told apart by the name.

    Raises DataError when the file is truncated, has the wrong magic or a wrong length.
    """
    images = "idx3" in path.name
    rank, magic = (3, MAGIC_IMAGES) if images else (1, MAGIC_LABELS)
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is no complete gzip file ({error}); fetch it again") from error
    head = 4 * (1 + rank)
    if len(raw) < head:
        raise DataError(f"{path} ends inside its header ({len(raw)} of {head} bytes); fetch it again")
    words = [int(word) for word in np.frombuffer(raw[:head], ">u4")]
    if words[0] != magic:
        kind = "images" if images else "labels"
        raise DataError(f"{path}: magic {words[0]}, IDX {kind} have {magic}; this is another kind of file")
    shape = tuple(words[1:])
    size = int(np.prod(shape, dtype=object))
    if len(raw) - head != size:
        raise DataError(f"{path}: the header promises {shape}, {size} bytes, {len(raw) - head} follow; fetch it again")
    return np.frombuffer(raw, np.uint8, offset=head).reshape(shape).copy()  # writable, as torch wants it
