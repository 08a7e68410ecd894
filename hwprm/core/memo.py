"""What was computed of an object that never changes, kept beside it: sweeps ask the same things thousands of times."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

__all__ = ["kept", "latest"]

T = TypeVar("T")
#: Key of the notes in the owner's ``__dict__``: no field, so that neither `replace` nor `asdict` sees them.
PLACE = "_notes"


def kept(owner: object, key: Hashable, make: Callable[[], T]) -> T:
    """What `make` returns, made once for `key` of the frozen `owner`, and forgotten with it."""
    notes: dict[Hashable, Any] = owner.__dict__.setdefault(PLACE, {})
    if key not in notes:
        notes[key] = make()
    found: T = notes[key]
    return found


def latest(owner: object, name: str, key: Hashable, make: Callable[[], T]) -> T:
    """`kept`, for what is large: of all keys under `name` only the last one that was asked for."""
    notes: dict[Hashable, Any] = owner.__dict__.setdefault(PLACE, {})
    if name not in notes or notes[name][0] != key:
        notes[name] = (key, make())
    found: T = notes[name][1]
    return found
