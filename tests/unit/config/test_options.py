"""Options are read from the dataclasses, and from text or TOML into their types."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest

from hwprm.config import (
    SECTIONS,
    ArrayConfig,
    DataConfig,
    RunConfig,
    SiliconConfig,
    TrainConfig,
    VerifyConfig,
)
from hwprm.config.admm import LayerBudget
from hwprm.config.options import Option, convert, describe, options_of, show
from hwprm.config.section import checked
from hwprm.core.errors import ConfigError


class Colour(StrEnum):
    RED = "red"


def _option(kind: Any) -> Option:
    return Option(section="array", name="rows", kind=kind, declared=kind, default=None)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_option_has_a_sentence_and_a_default(section: str) -> None:
    for option in options_of(section, SECTIONS[section]):
        assert option.text.endswith("."), option.key
        assert describe(option.declared)


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
        (int, "eight", "array.rows must be a whole number, not 'eight'"),
        (int, 1.5, "array.rows must be a whole number, not 1.5"),
        (int, True, "array.rows must be a whole number, not True"),
        (float, "x", "array.rows must be a number, not 'x'"),
        (bool, "yes", "array.rows must be true or false, not 'yes'"),
        (str, 3, "array.rows must be text, not 3"),
        (int | None, "x", "array.rows must be a whole number or none, not 'x'"),
        (Literal["a", "b"], "c", "array.rows must be one of a, b, not 'c'"),
        (Colour, "blue", "array.rows must be one of red, not 'blue'"),
        (tuple[int, ...], "1,x", "array.rows must be a list, each a whole number, not '1,x'"),
        (tuple[int, int], "1", "array.rows must be a list, each a whole number, not '1'"),
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
        (Mapping[str, int], "conv1", "array.rows must be a table name=value, each value a whole number, not 'conv1'"),
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


@pytest.mark.parametrize("section", SECTIONS)
def test_defaults_are_what_the_annotations_allow(section: str) -> None:
    """Defaults are not checked when a section is made, so that help needs no pydantic."""
    for option in options_of(section, SECTIONS[section]):
        assert checked(option, option.default) == option.default, option.key


def test_help_documents_every_field() -> None:
    text = str(ArrayConfig.__doc__)
    assert text.startswith("The systolic array: `rows` output pixels by `cols` filters.\n\nrows [1..256; default: 8]: ")
    assert "\npipeline [short, fast; default: short]: How deep" in text
    assert "rows: int = 8, cols: int = 8," in str(inspect.signature(ArrayConfig))


def test_values_take_the_type_of_their_option() -> None:
    config = VerifyConfig(work="x", modes=["bulk"], timeout=3)  # type: ignore[arg-type]  # as users write it
    assert (config.work, config.modes, config.timeout) == (Path("x"), ("bulk",), 3.0)
    assert type(config.timeout) is float


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ArrayConfig(rows=0), "array.rows must be a whole number in 1..256, not 0"),
        (lambda: ArrayConfig(rows="8"), "array.rows must be a whole number in 1..256, not '8'"),
        (lambda: ArrayConfig(rows=True), "array.rows must be a whole number in 1..256, not True"),
        (lambda: ArrayConfig(pipeline="fats"), "must be one of short, fast, not 'fats'; did you mean 'fast'?"),
        (lambda: ArrayConfig(onchip_bits=0), "array.onchip_bits must be a whole number of 1 or more or none, not 0"),
        (
            lambda: ArrayConfig(axi_burst=128, axi_data_bits=512),
            "must be 64 or less beats of array.axi_data_bits (512)",
        ),
        (lambda: SiliconConfig(clock=3e3), "must be a number above 0 and at most 2000 MHz or none, not 3000.0"),
        (lambda: TrainConfig(clip=float("inf")), "train.clip must be a number in 0..1e+09, not inf"),
        (lambda: DataConfig(name=""), "data.name must be text that is not empty, not ''"),
        (lambda: RunConfig(stop_after="compakt"), "compact, finetune, not 'compakt'; did you mean 'compact'?"),
        (lambda: replace(ArrayConfig(), cols=257), "array.cols must be a whole number in 1..256, not 257"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert text in str(caught.value)


def test_either_spelling_names_an_option() -> None:
    given: Mapping[str, Any] = {"optimizer": "sgd"}
    assert TrainConfig(**given).optimiser == "sgd"
    assert replace(TrainConfig(), **given).optimiser == "sgd"
    assert replace(TrainConfig(**given), epochs=3).optimiser == "sgd"


def test_a_name_that_no_option_has_gets_the_nearest() -> None:
    wrong: Mapping[str, Any] = {"epoch": 3}
    with pytest.raises(ConfigError, match=r"^\[train\] has no option 'epoch'; did you mean 'epochs'\?$"):
        TrainConfig(**wrong)
    far: Mapping[str, Any] = {"xyzzy": 3}
    with pytest.raises(ConfigError, match=r"^\[verify\] has no option 'xyzzy'; there are sim, images, "):
        VerifyConfig(**far)
