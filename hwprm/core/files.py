"""Output folders that are either complete or absent, and whether their files are as they were written."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from hwprm.core.errors import InputError, ModelError

__all__ = ["check_digests", "check_file", "check_output", "digest_of", "new_folder", "write_file"]


def check_output(target: Path, *, inside: bool = False) -> None:
    """Raise InputError unless `target` can become a new folder: absent or empty, it and its parent writable.

    With `inside` a folder that exists is filled where it is, so that its parent need not be writable.
    """
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"the output folder {target} is not empty; choose another one or delete it")
    if target.exists() and not target.is_dir():
        raise InputError(f"the output folder {target} is a file; choose another name")
    parent = _nearest(target.absolute().parent)
    if not parent.is_dir():
        raise InputError(f"the output folder {target} lies in {parent}, which is a file; choose another name")
    # A folder that exists is replaced by the finished one beside it, so its parent must be writable too.
    places = {target} if target.is_dir() and inside else {parent, target} if target.is_dir() else {parent}
    for place in sorted(places):
        if not os.access(place, os.W_OK | os.X_OK):
            raise InputError(
                f"the output folder {target} cannot be made, {place} is not writable; choose another place"
            )


def check_file(target: Path) -> None:
    """Raise InputError unless a file `target` can be written, so that a long run does not find out at its end."""
    if target.is_dir():
        raise InputError(f"cannot write {target}: it is a folder; choose another name")
    parent = _nearest(target.absolute().parent)
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"cannot write {target}: {parent} is no writable folder; choose another place")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its name when the block ends well, and vanishes when not.

    Raises InputError where `check_output` does.
    """
    check_output(target)
    made = [place for place in target.absolute().parents if not place.exists()]
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
        with suppress(OSError):  # the first that holds something stays, and so do those above it
            for place in made:
                place.rmdir()


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


def digest_of(file: Path) -> str:
    """SHA-256 of the bytes of `file`, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_digests(folder: Path, digests: Mapping[str, str], mend: str) -> None:
    """Raise ModelError unless each file of `folder` has its digest in `digests`; `mend` says what to do otherwise."""
    for name, digest in digests.items():
        file = folder / name
        if not file.is_file():
            raise ModelError(f"{folder} lacks {name}; {mend}")
        if digest_of(file) != digest:
            raise ModelError(
                f"{file} was edited, or cut short, after it was saved: its SHA-256 is not the one noted; {mend}"
            )


def _nearest(place: Path) -> Path:
    """`place`, or the first folder above it that exists."""
    return next(path for path in (place, *place.parents) if path.exists())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
