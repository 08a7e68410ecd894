"""Options are read from the dataclasses, and from text or TOML into their types."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest

from hwprm.config import SECTIONS, ArrayConfig
from hwprm.config.admm import LayerBudget
from hwprm.config.options import Option, convert, describe, options_of, show
from hwprm.core.errors import ConfigError


class Colour(StrEnum):
    RED = "red"


def _option(kind: Any) -> Option:
    return Option(section="array", name="rows", kind=kind, default=None, text="")


@pytest.mark.parametrize("section", SECTIONS)
def test_every_option_has_a_sentence_and_a_default(section: str) -> None:
    for option in options_of(section, SECTIONS[section]):
        assert option.text.endswith("."), option.key
        assert describe(option.kind)


def test_text_comes_from_the_line_above() -> None:
    rows = options_of("array", ArrayConfig)[0]
    assert (rows.key, rows.default, rows.kind) == ("array.rows", 8, int)
    assert rows.text.startswith("Lanes: output pixels")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (int, "12", 12),
        (int, 12, 12),
        (float, "1e-3", 1e-3),
        (float, 2, 2.0),
        (bool, "true", True),
        (bool, False, False),
        (str, "none", "none"),
        (int | None, "none", None),
        (int | None, "3", 3),
        (str | None, "none", None),
        (Path | None, "a/b", Path("a/b")),
        (Literal["a", "b"], "b", "b"),
        (Literal[1, 2], "2", 2),
        (Colour, "red", Colour.RED),
        (tuple[int, ...], "1, 2,3", (1, 2, 3)),
        (tuple[int, ...], [], ()),
        (tuple[int, int], [4, 5], (4, 5)),
        (Mapping[str, int], "conv1=5,fc1=7", {"conv1": 5, "fc1": 7}),
        (Mapping[str, float], {"conv1": 5}, {"conv1": 5.0}),
        (Mapping[str, LayerBudget] | None, "none", None),
        (Mapping[str, LayerBudget] | None, "fc1=filters:6/columns:15", {"fc1": LayerBudget(filters=6, columns=15)}),
        (Mapping[str, LayerBudget] | None, {"fc1": {"filters": 6}}, {"fc1": LayerBudget(filters=6)}),
    ],
)
def test_convert(kind: Any, value: Any, expected: Any) -> None:
    got = convert(_option(kind), value)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (int, "eight", "array.rows must be an integer, not 'eight'"),
        (int, 1.5, "array.rows must be an integer, not 1.5"),
        (int, True, "array.rows must be an integer, not True"),
        (float, "x", "array.rows must be a number, not 'x'"),
        (bool, "yes", "array.rows must be true or false, not 'yes'"),
        (str, 3, "array.rows must be text, not 3"),
        (int | None, "x", "array.rows must be an integer or none, not 'x'"),
        (Literal["a", "b"], "c", "array.rows must be one of a, b, not 'c'"),
        (Colour, "blue", "array.rows must be one of red, not 'blue'"),
        (tuple[int, ...], "1,x", "array.rows must be a list, each an integer, not '1,x'"),
        (tuple[int, int], "1", "array.rows must be a list, each an integer, not '1'"),
        (
            Mapping[str, LayerBudget] | None,
            {"fc1": {"filter": 6}},
            "unknown key array.rows.filter; did you mean 'filters'?",
        ),
        (
            Mapping[str, LayerBudget],
            "fc1",
            (
                "array.rows must be a table name=value, each value filters:value/columns:value/channels:value/"
                "weights:value/round_to:value, not 'fc1'"
            ),
        ),
        (Mapping[str, int], "conv1", "array.rows must be a table name=value, each value an integer, not 'conv1'"),
    ],
)
def test_convert_refuses(kind: Any, value: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        convert(_option(kind), value)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "true"),
        (0.001, "0.001"),
        ((1, 2), "1,2"),
        ({"a": 1}, "a=1"),
        ({"a": LayerBudget(filters=6, columns=15)}, "a=filters:6/columns:15"),
        (Colour.RED, "red"),
        (3, "3"),
    ],
)
def test_show(value: Any, text: str) -> None:
    assert show(value) == text
