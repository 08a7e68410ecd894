"""Fetch the four MNIST files from a public mirror; nothing is kept whose SHA-256 is not the released one's."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from hwprm.core.errors import DataError
from hwprm.data.idx import FILES, SHA256

__all__ = ["MIRRORS", "download_mnist"]

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
TIMEOUT_S = 30

Opener = Callable[[str], BinaryIO]


def _open(url: str) -> BinaryIO:
    return cast(BinaryIO, urllib.request.urlopen(url, timeout=TIMEOUT_S))


def download_mnist(folder: Path, opener: Opener = _open) -> None:
    """Put the released files into ``folder/mnist``; files already there with the right digest are kept.

    Raises DataError when no mirror delivers a file, or what they deliver has another SHA-256.
    """
    home = folder / "mnist"
    home.mkdir(parents=True, exist_ok=True)
    for file, digest in zip(FILES, SHA256["mnist"], strict=True):
        target = home / file
        if not (target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == digest):
            _store(target, _fetch(file, digest, opener))


def _fetch(file: str, digest: str, opener: Opener) -> bytes:
    reasons = []
    for mirror in MIRRORS:
        try:
            with opener(mirror + file) as response:
                raw = response.read()
        except OSError as error:
            reasons.append(f"{mirror}: {error}")
            continue
        got = hashlib.sha256(raw).hexdigest()
        if got == digest:
            return raw
        reasons.append(f"{mirror}: SHA-256 {got}, the released file has {digest}")
    raise DataError(
        f"no mirror delivered {file} ({'; '.join(reasons)}); "
        "fetch the four files elsewhere and name their folder with --data-dir"
    )


def _store(target: Path, raw: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".download-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
