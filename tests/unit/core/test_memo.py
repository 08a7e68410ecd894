"""What is kept beside an object: made once, forgotten with it, and in nobody's way."""

from __future__ import annotations

import gc
import weakref
from dataclasses import asdict, dataclass, replace
from functools import partial

from hwprm.core.memo import kept, latest


@dataclass(frozen=True, eq=False)
class Thing:
    size: int


def test_a_value_is_made_once_for_each_key() -> None:
    thing, made = Thing(3), []
    for key in ("a", "b", "a"):
        kept(thing, key, lambda key=key: made.append(key))  # type: ignore[misc]  # binds the loop's variable
    assert made == ["a", "b"]


def test_only_the_latest_of_what_is_large_stays() -> None:
    thing, made = Thing(3), []

    def make(key: int) -> int:
        return latest(thing, "large", key, lambda: made.append(key) or 10 * key)  # type: ignore[func-returns-value]

    assert [make(key) for key in (1, 1, 2, 1)] == [10, 10, 20, 10]
    assert made == [1, 2, 1]


def test_notes_are_no_part_of_the_object() -> None:
    thing = Thing(3)
    kept(thing, "a", partial(tuple, [thing]))  # it refers to its owner
    assert asdict(thing) == {"size": 3}
    assert kept(replace(thing), "a", lambda: None) is None
    gone = weakref.ref(thing)
    del thing
    gc.collect()
    assert gone() is None
