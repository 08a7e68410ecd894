"""The folder where compiled simulations and results of synthesis are kept between runs; its size is limited."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from hwprm.core.errors import ConfigError, InputError

__all__ = ["default_cache", "keep", "size_of", "trim"]

#: Sub-folders of a cache whose entries, a folder each, can be made again; and those that a killed run left half-made.
KEPT, UNFINISHED = ("builds", "runtime", "silicon"), (".build-", ".keep-")
#: Seconds for which an entry is left alone after its last use: a run may be about to start it.
RECENT = 3600.0
#: Seconds after which what a killed run left is no longer anybody's.
ABANDONED = 7 * 86400.0


def default_cache() -> Path:
    """Folder of kept builds, and of data sets that were fetched, when none is given. InputError without a home."""
    try:
        return Path.home() / ".cache" / "hwprm"
    except RuntimeError as error:
        raise InputError(f"there is no home folder to keep builds in ({error}); choose a folder with --work") from error


def keep(cache: Path, kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder ``kind/key`` of `cache`, which `make` fills the first time; it is there whole or not at all.

    Two processes may make the same one: the second takes over what the first left. Raises ConfigError when `cache`
    is not writable, and what `make` raises.
    """
    kept = cache / kind / key
    if kept.is_dir():
        with suppress(OSError):  # not ours to write, but to read
            os.utime(kept)  # its last use, for `trim`
        return kept
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=UNFINISHED[0], dir=kept.parent))
    except OSError as error:
        raise ConfigError(
            f"results cannot be kept in {cache} ({error.strerror}); choose another with --work"
        ) from error
    try:
        make(work)
        try:
            work.rename(kept)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # the name is taken: another process was first
                raise ConfigError(
                    f"{kept} cannot be kept ({error.strerror}); choose another cache with --work"
                ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return kept


def size_of(folder: Path) -> int:
    """Bytes of all files in `folder`; 0 where there is none. Files that go meanwhile do not count."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size if path.is_file() and not path.is_symlink() else 0
    return total


def trim(cache: Path, most: int, now: float | None = None) -> int:
    """Delete builds of `cache`, those used least recently first, until the rest is `most` bytes or fewer; bytes kept.

    An entry's last use is the time of its folder. Those of the last hour stay, however large; what killed runs left
    half-made goes after a week. `now` is the time, that of the system by default.
    """
    now = time.time() if now is None else now
    entries = sorted(_entries(cache), key=lambda entry: entry[0])
    total = sum(size for _, size, _ in entries)
    for used, size, place in entries:
        unfinished = place.name.startswith(UNFINISHED) or place.parent.name == "runs"
        old = now - used > (ABANDONED if unfinished else RECENT)
        if old and (unfinished or total > most):
            shutil.rmtree(place, ignore_errors=True)
            total -= size
    return total


def _entries(cache: Path) -> Iterator[tuple[float, int, Path]]:
    """Last use, size and place of everything that may be deleted."""
    for name in (*KEPT, "runs"):
        folder = cache / name
        for place in folder.iterdir() if folder.is_dir() else ():
            with suppress(OSError):  # another run deletes too
                if place.is_dir() and not place.is_symlink():
                    yield place.stat().st_mtime, size_of(place), place
