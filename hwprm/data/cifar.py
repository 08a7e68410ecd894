"""CIFAR-10 from its Python version: the folder ``cifar-10-batches-py`` or an archive (tar.gz, tar.xz, tar) of it."""

from __future__ import annotations

import io
import json
import lzma
import pickle
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.core.errors import DataError
from hwprm.data.dataset import Dataset

__all__ = ["load_cifar10"]

FOLDER = "cifar-10-batches-py"
ARCHIVES = ("cifar-10-python.tar.gz", "cifar-10-python.tar.xz", "cifar-10-python.tar")
TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST = "test_batch"
#: Rebuilt copies of the set list here the images that are approximations.
INEXACT = "inexact_rows.json"
PIXELS = 3 * 32 * 32


def load_cifar10(folder: Path) -> Dataset:
    """Load CIFAR-10 from ``folder/cifar10`` or `folder`: extracted batches first, then an archive.

    Raises DataError when neither is there, or a batch is missing, cut short or malformed.
    """
    for home in (folder / "cifar10", folder):
        if (home / FOLDER).is_dir():
            return _assemble(_read_folder(home / FOLDER), home / FOLDER)
        for archive in ARCHIVES:
            if (home / archive).is_file():
                return _assemble(_read_archive(home / archive), home / archive)
    raise DataError(
        f"cifar10: neither {FOLDER}/ nor {ARCHIVES[0]} is in {folder / 'cifar10'} or {folder}; "
        "put the released archive there or name another data folder"
    )


def _read_folder(home: Path) -> dict[str, bytes]:
    return {name: (home / name).read_bytes() for name in (*TRAIN, TEST, INEXACT) if (home / name).is_file()}


def _read_archive(path: Path) -> dict[str, bytes]:
    wanted = (*TRAIN, TEST, INEXACT)
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                file = archive.extractfile(member) if member.isfile() and name in wanted else None
                if file is not None:
                    found[name] = file.read()
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path} is no complete archive ({error}); fetch it again") from error
    return found


def _assemble(files: dict[str, bytes], home: Path) -> Dataset:
    missing = [name for name in (*TRAIN, TEST) if name not in files]
    if missing:
        raise DataError(f"{home}: {missing[0]} is missing; fetch the set again")
    parts = [_read_batch(files[name], f"{home}: {name}") for name in TRAIN]
    x_test, y_test = _read_batch(files[TEST], f"{home}: {TEST}")
    rebuilt = _rebuilt(files[INEXACT], home) if INEXACT in files else ""
    return Dataset(
        name="cifar10",
        source=f"full set in {home}{rebuilt}",
        x_train=np.concatenate([x for x, _ in parts]),
        y_train=np.concatenate([y for _, y in parts]),
        x_test=x_test,
        y_test=y_test,
        classes=10,
    )


class _ArrayUnpickler(pickle.Unpickler):
    """Reads dicts of numpy arrays only: a pickle that names anything else could run code, so it is refused."""

    def find_class(self, module: str, name: str) -> Any:
        # `_reconstruct` moved between numpy versions; taken from an array it is the running one's own.
        allowed = {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}
        if module.partition(".")[0] == "numpy" and name in allowed:
            return allowed[name]
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes in protocol 2
            return lambda text, _: text.encode("latin1")
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _read_batch(raw: bytes, what: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        batch = _ArrayUnpickler(io.BytesIO(raw), encoding="bytes").load()
        data, labels = batch[b"data"], np.asarray(batch[b"labels"], dtype=np.int64)
    except Exception as error:  # a broken pickle fails in any way, MemoryError and SystemError among them
        raise DataError(f"{what} is no CIFAR-10 batch ({error}); fetch it again") from error
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != PIXELS:
        raise DataError(f"{what}: its data is no uint8 array (n, {PIXELS}); fetch it again")
    if labels.shape != (len(data),):
        raise DataError(f"{what}: {len(data)} images but labels of shape {labels.shape}; fetch it again")
    return data.reshape(-1, 3, 32, 32), labels


def _rebuilt(raw: bytes, home: Path) -> str:
    """The end of a sentence about a rebuilt copy: how many images are approximations, and which test rows."""
    try:
        listed = json.loads(raw)
    except ValueError as error:
        raise DataError(f"{home}: {INEXACT} is no JSON ({error}); fetch the set again") from error
    count = sum(len(rows) for rows in _lists(listed))
    if not count:
        return ""
    test = [row for rows in _lists(listed.get("test", []) if isinstance(listed, dict) else []) for row in rows]
    rows = f", {len(test)} of them test rows: {' '.join(str(row) for row in test)}" if test else ""
    return f", rebuilt: {count} images approximate{rows}"


def _lists(value: Any) -> list[list[Any]]:
    """Every innermost list of row numbers in a JSON value, whatever the nesting of its keys."""
    if isinstance(value, dict):
        return [rows for entry in value.values() for rows in _lists(entry)]
    return [value] if isinstance(value, list) else []
