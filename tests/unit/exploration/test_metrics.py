"""Objectives, limits and fronts."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprm.config import ExploreConfig
from hwprm.core.errors import ConfigError
from hwprm.exploration.metrics import METRICS, front_of, limits_of, objectives_of

ALL = ("accuracy", "target", "clock")
OBJECTIVES = ("accuracy", "cycles", "lut4")


def beats(one: dict[str, float], other: dict[str, float]) -> bool:
    """The definition, word by word: accuracy is to be high, the others low."""
    no_worse = (
        one["accuracy"] >= other["accuracy"] and one["cycles"] <= other["cycles"] and one["lut4"] <= other["lut4"]
    )
    return no_worse and one != other


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=30))
def test_front_is_what_nothing_beats(rows: list[tuple[int, int, int]]) -> None:
    points = [dict(zip(OBJECTIVES, map(float, row), strict=True)) for row in rows]
    expected = [
        i
        for i, point in enumerate(points)
        if not any(beats(other, point) for other in points) and point not in points[:i]
    ]
    assert front_of(points, OBJECTIVES) == expected


def test_front_of_nothing() -> None:
    assert front_of([], OBJECTIVES) == []


def test_limits_are_kept_to_the_number() -> None:
    config = ExploreConfig(max_cycles=100, min_accuracy=99.0)
    cycles, accuracy = limits_of(config, ALL)
    assert [cycles.excess({"cycles": n}) > 0 for n in (99, 100, 101)] == [False, False, True]
    assert [accuracy.excess({"accuracy": n}) > 0 for n in (98.9, 99.0, 99.1)] == [True, False, False]
    assert accuracy.excess({"cycles": 1}) == 0.0  # not measured, not broken


@pytest.mark.parametrize(
    ("met", "joint", "expected"),
    [
        ((), False, ("cycles", "multipliers", "onchip_bits")),
        (("target",), False, ("cycles", "lut4")),
        (("accuracy",), False, ("accuracy", "cycles", "multipliers", "onchip_bits")),
        (ALL, True, ("accuracy", "cycles", "lut4")),
    ],
)
def test_objectives_without_a_wish(met: tuple[str, ...], joint: bool, expected: tuple[str, ...]) -> None:
    assert objectives_of(ExploreConfig(), met, joint) == expected


@pytest.mark.parametrize(
    ("objectives", "met", "words"),
    [
        (("cycle",), ALL, r"nothing measured is called 'cycle'; did you mean 'cycles'"),
        (("lut4",), (), "lut4 needs a device; name one with --target"),
        (("accuracy",), ("target",), "accuracy needs images with labels"),
        (("images_per_second",), ("target",), "needs a clock"),
        (("cycles", "cycles"), ALL, "names cycles twice"),
        (("cycles", "images_per_second"), ALL, "cycles and images_per_second are one thing"),
    ],
)
def test_objectives_that_contradict(objectives: tuple[str, ...], met: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        objectives_of(ExploreConfig(objectives=objectives), met, joint=False)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"max_lut": 1000}, r"explore\.max_lut: lut4 needs a device"),
        ({"min_images_per_second": 50.0}, r"explore\.min_images_per_second: .* needs a clock"),
        ({"min_accuracy": 99.0}, r"explore\.min_accuracy: accuracy needs images"),
    ],
)
def test_limits_that_cannot_be_measured(limit: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        limits_of(ExploreConfig(**limit), ())  # type: ignore[arg-type]


def test_every_metric_says_which_way_is_better() -> None:
    more = {name for name, metric in METRICS.items() if metric.more}
    assert more == {"accuracy", "utilisation", "images_per_second"}
    for a, b in product((1.0, 2.0), repeat=2):
        for name, metric in METRICS.items():
            assert (metric.sign * a < metric.sign * b) == (a > b if name in more else a < b)
