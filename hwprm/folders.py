"""Output folders that are either complete or absent."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hwprm.errors import InputError

__all__ = ["check_output", "new_folder", "write_file"]


def check_output(target: Path) -> None:
    """Raise InputError unless `target` can become a new folder: absent or empty, its parent writable."""
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"the output folder {target} is not empty; choose another one or delete it")
    if target.exists() and not target.is_dir():
        raise InputError(f"the output folder {target} is a file; choose another name")
    parent = next(place for place in (target, *target.absolute().parents) if place.exists())
    if not parent.is_dir():
        raise InputError(f"the output folder {target} lies in {parent}, which is a file; choose another name")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"the output folder {target} cannot be made, {parent} is not writable; choose another place")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its name when the block ends well, and vanishes when not.

    Raises InputError where `check_output` does.
    """
    check_output(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    work.chmod(0o777 & ~_umask())  # mkdtemp makes it private, an ordinary folder is not
    try:
        yield work
        if target.is_dir():
            target.rmdir()
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write_file(target: Path, text: str) -> None:
    """Write `text` to a file beside `target`, then rename it. Raises InputError when that is not possible."""
    work = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work.write_text(text, encoding="utf-8")
        work.replace(target)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}; choose another place") from error
    finally:
        with suppress(OSError):  # the first error has said it already
            work.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
