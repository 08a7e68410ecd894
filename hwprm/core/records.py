"""Frozen dataclasses from plain JSON, which knows lists only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["with_tuples"]


def with_tuples(plain: Mapping[str, Any]) -> dict[str, Any]:
    """`plain` with tuples where it has lists, one level deep: what the fields of frozen dataclasses take."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
