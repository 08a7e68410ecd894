"""Output folders that are either complete or absent, output files in place, and whether files are as they were written.

Everything that a verb writes where the user said goes through here: `new_folder` and `lock_folder` for folders,
`write_file` and `put_file` for files.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shlex
import shutil
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hwprm.core.errors import InputError, ModelError

__all__ = [
    "check_digests",
    "check_file",
    "check_output",
    "digest_of",
    "digest_of_weights",
    "lock_folder",
    "new_folder",
    "put_file",
    "read_json",
    "write_file",
]

#: What the system's kinds of files are called where an ordinary one is wanted.
KINDS: Mapping[Callable[[int], bool], str] = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}
#: Longest command line in the words about who holds a lock.
COMMAND_MAX = 200

#: Locks that this process holds: the thread that took each, and how many blocks of it are inside.
_held: dict[Path, tuple[int, int]] = {}
_held_guard = threading.Lock()


def check_output(target: Path, *, inside: bool = False) -> None:
    """Raise InputError unless `target` can become a new folder: absent or empty, it and its parent writable.

    With `inside` a folder that exists is filled where it is, so that its parent need not be writable.
    """
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"the output folder {target} is not empty; choose another one or delete it")
    if target.exists() and not target.is_dir():
        raise InputError(f"the output folder {target} is a file; choose another name")
    parent = _nearest(_real(target).parent)
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
    """Raise InputError unless an ordinary file `target` can be written, so that a long run finds out at its start.

    What a link leads to counts: it is written through. A folder, pipe, socket or device is refused.
    """
    place = _real(target)
    try:
        mode = place.stat().st_mode if os.path.lexists(place) else stat.S_IFREG
    except OSError as error:
        raise _cannot_write(target, error) from error
    if not stat.S_ISREG(mode):
        kind = next((name for of_kind, name in KINDS.items() if of_kind(mode)), "no ordinary file")
        raise InputError(f"cannot write {target}: it is {kind}; choose another name")
    parent = _nearest(place.parent)
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"cannot write {target}: {parent} is no writable folder; choose another place")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its name when the block ends well, and vanishes when not.

    Meanwhile `target` is locked. Raises InputError where `check_output` and `lock_folder` do.
    """
    check_output(target)
    with lock_folder(target):
        check_output(target)  # whoever held the lock a moment ago may have filled it
        place = _real(target)
        work = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        work.mkdir()
        try:
            yield work
            if place.is_dir():
                place.rmdir()
            work.rename(place)
        finally:
            shutil.rmtree(work, ignore_errors=True)


@contextmanager
def lock_folder(target: Path) -> Iterator[None]:
    """Inside, no other process or thread gets into such a block for the same output folder, which need not exist.

    The system keeps the lock and drops it when the process ends, however it ends; the file ``.NAME.lock`` beside
    the folder says who holds it, and one that a killed process left behind locks nothing. Blocks of one thread may lie
    inside one another. Raises InputError, naming the holder, when the folder is locked, and when nothing can be
    written beside it.
    """
    place = _real(target)
    me = threading.get_ident()
    with _held_guard:
        thread, depth = _held.get(place, (me, 0))
        if thread != me:
            raise _locked(target, "another thread of this program")
        _held[place] = (me, depth + 1)
    try:
        if depth:
            yield
        else:
            made = [above for above in place.parents if not above.exists()]
            lock = _lock_file(place)
            handle = _take(lock, target)
            try:
                yield
            finally:
                _release(lock, handle, made)
    finally:
        with _held_guard:
            if depth:
                _held[place] = (me, depth)
            else:
                del _held[place]


def _lock_file(place: Path) -> Path:
    """The file that stands for the lock of `place`; the folder itself where nothing can be made beside it."""
    if place.is_dir() and not os.access(place.parent, os.W_OK | os.X_OK):
        return place
    return place.with_name(f".{place.name}.lock")


def _take(lock: Path, target: Path) -> int:
    """An open file that holds the lock."""
    flags = os.O_RDONLY if lock.is_dir() else os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock, flags, 0o666)
        except OSError as error:
            raise InputError(
                f"the output folder {target} cannot be locked: {error.strerror}; choose another place"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _holder(handle)
            os.close(handle)
            raise _locked(target, who) from None
        except OSError:
            return handle  # a file system without locks, on which nothing better can be had
        with suppress(OSError):
            if os.path.samestat(os.fstat(handle), os.stat(lock)):  # noqa: PTH116  # beside fstat
                if not lock.is_dir():
                    os.ftruncate(handle, 0)
                    os.write(handle, _me().encode())
                return handle
        os.close(handle)  # its holder ended, and took the file away, between our two steps


def _release(lock: Path, handle: int, made: list[Path]) -> None:
    """Give the lock back; its file goes, and so do the folders above that were made for it and stayed empty."""
    with suppress(OSError):
        if not lock.is_dir():
            lock.unlink()
    os.close(handle)
    with suppress(OSError):  # the first that holds something stays, and so do those above it
        for place in made:
            place.rmdir()


def _me() -> str:
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:COMMAND_MAX]
    return f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')} ({command})"


def _holder(handle: int) -> str:
    try:
        return os.pread(handle, 4 * COMMAND_MAX, 0).decode(errors="replace") or "another run"
    except OSError:  # it is a folder
        return "another run"


def _locked(target: Path, who: str) -> InputError:
    return InputError(
        f"the output folder {target} is being written by {who}; wait until that has ended, or choose another folder"
    )


def write_file(target: Path, content: str | bytes) -> None:
    """Write `content` to a new file beside `target`, then rename it: readers find the old or the new one, whole.

    Folders above are made. Raises InputError when that is not possible, or `target` is no ordinary file (`check_file`).
    """
    data = content.encode() if isinstance(content, str) else content

    def fill(work: Path) -> None:
        with os.fdopen(os.open(work, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            file.write(data)

    _replace(target, fill)


def put_file(source: Path, target: Path) -> None:
    """Move the finished file `source` to `target`, with the rules of `write_file`."""

    def fill(work: Path) -> None:
        shutil.move(source, work)

    _replace(target, fill)


def _replace(target: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` make a file of a name that nothing has, and give it the name of `target`."""
    check_file(target)
    place = _real(target)
    work = place.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fill(work)
        work.replace(place)
    except (OSError, ValueError) as error:
        raise _cannot_write(target, error) from error
    finally:
        with suppress(OSError, ValueError):  # the first error has said it already
            work.unlink(missing_ok=True)


def _real(target: Path) -> Path:
    """Where `target`, which may be a link, leads."""
    try:
        return target.absolute().resolve()
    except (OSError, ValueError, RuntimeError) as error:  # links in a circle, a name with a zero byte
        raise _cannot_write(target, error) from error


def _cannot_write(target: Path, error: Exception) -> InputError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return InputError(f"cannot write {target}: {reason}; choose another place")


def digest_of(file: Path) -> str:
    """SHA-256 of the bytes of `file`, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of_weights(model: Path) -> str:
    """`digest_of` the weights of `model`, a folder, or of the file that it is."""
    return digest_of(model / "weights.safetensors" if model.is_dir() else model)


def read_json(file: Path) -> Any:
    """What the JSON `file` holds. Raises OSError when it cannot be read, ValueError when it is no JSON."""
    try:
        return json.loads(file.read_bytes())
    except RecursionError as error:
        raise ValueError("its brackets are too deep") from error


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
