"""Dataclasses from JSON: the same again, and one line of words for everything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from hwprm.core.plain import decode


@dataclass(frozen=True)
class Inner:
    at: tuple[int, int]
    scale: float = 1.0


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner | None
    many: tuple[Inner, ...]
    table: Mapping[str, bool]


WHOLE = Outer(name="a", inner=Inner((1, 2)), many=(Inner((3, 4), 0.5),), table={"x": True})


def test_round_trip() -> None:
    assert decode(Outer, json.loads(json.dumps(asdict(WHOLE)))) == WHOLE
    assert decode(Outer, {"name": "a", "inner": None, "many": [], "table": {}}) == Outer("a", None, (), {})
    assert decode(dict[str, Any], {"x": [1, {}]}) == {"x": [1, {}]}
    assert decode(Inner, {"at": [1, 2], "scale": 3}).scale == 3.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": 1}, "name must be text, not 1"),
        ({"inner": 3}, "inner must be a table, not 3"),
        ({"inner": {}}, "inner lacks 'at'"),
        ({"inner": {"at": [1]}}, "inner.at must be a list of 2, not [1]"),
        ({"inner": {"at": [1, True]}}, "inner.at[1] must be a whole number, not True"),
        ({"inner": {"at": [1, 2], "scale": float("nan")}}, "inner.scale must be a finite number, not nan"),
        ({"inner": {"at": [1, 2], "scale": True}}, "inner.scale must be a number, not True"),
        ({"many": {}}, "many must be a list, not {}"),
        ({"many": [None]}, "many[0] must be a table, not None"),
        ({"table": {"x": 1}}, "table.x must be true or false, not 1"),
        ({"more": 1}, "it has an unknown key 'more'"),
        ({"name": ["x" * 100]}, f"name must be text, not ['{'x' * 55}..."),
    ],
)
def test_what_does_not_fit(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        decode(Outer, json.loads(json.dumps(asdict(WHOLE))) | change)
    assert str(caught.value) == words


def test_what_is_no_table() -> None:
    with pytest.raises(ValueError, match="^it must be a table, not 5$"):
        decode(Outer, 5)
