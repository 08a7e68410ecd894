"""How much a function does, counted instead of timed: the lines of the package that it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import hwprm

__all__ = ["lines_run"]

PACKAGE = hwprm.__path__[0]


def lines_run(function: Callable[[], object]) -> int:
    """Lines of hwprm's own code that a call of `function` runs."""
    count = 0

    def line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return line

    def call(frame: FrameType, event: str, _: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(PACKAGE) else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        function()
    finally:
        sys.settrace(before)
    return count
