"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

__all__ = ["FIRST_USE", "Progress", "silent", "without_numbers"]

#: Beginning of the name of a stage in which a tool is compiled for this machine, once.
FIRST_USE = "first use on this machine"


class Progress(Protocol):
    """Called now and then by every stage that takes a while; `done` reaches `total` exactly at the end of a stage."""

    def __call__(self, stage: str, done: int, total: int, metrics: Mapping[str, float], /) -> None:
        """`done` of `total` steps of `stage` are over; `metrics` are numbers to show beside the bar."""


def silent(stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
    """The progress that shows nothing."""


def without_numbers(progress: Progress | None) -> Callable[[str, int, int], None]:
    """`progress`, or nobody, for work that measures nothing on its way: it tells a stage, what is done, and of what."""

    def tell(stage: str, done: int, total: int) -> None:
        if progress is not None:
            progress(stage, done, total, {})

    return tell
