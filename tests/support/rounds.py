"""What every round of tests runs, and what only the long one does (`make test-all`)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import hypothesis
import pytest

__all__ = ["LONG", "examples", "long_round"]

#: Whether this is the long one, as ``make test-all`` says.
LONG = bool(os.environ.get("HWPRM_LONG_ROUND"))


def examples(count: int) -> hypothesis.settings:
    """For a property test: `count` examples in the long round, a third of them in every one."""
    return hypothesis.settings(max_examples=count if LONG else max(10, count // 3), deadline=None)


def long_round(cases: Iterable[Any], *, quick: int) -> list[Any]:
    """All `cases` for parametrize, tuples where there are several names; those behind the first `quick` are slow."""
    made = []
    for i, case in enumerate(cases):
        values = case if isinstance(case, tuple) else (case,)
        made.append(pytest.param(*values, marks=[pytest.mark.slow] if i >= quick else []))
    return made
