"""What every round of tests runs, and what only the long one does (`make test-all`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["long_round"]


def long_round(cases: Iterable[Any], *, quick: int) -> list[Any]:
    """All `cases` for parametrize, tuples where there are several names; those behind the first `quick` are slow."""
    made = []
    for i, case in enumerate(cases):
        values = case if isinstance(case, tuple) else (case,)
        made.append(pytest.param(*values, marks=[pytest.mark.slow] if i >= quick else []))
    return made
