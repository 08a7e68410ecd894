"""Shares of variance against grids worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from hwprm.exploration.importance import importance, main_effect
from hwprm.exploration.points import Point


def _points(*entries: tuple[dict[str, Any], dict[str, float]]) -> list[Point]:
    return [Point(number=i, options=options, values=values) for i, (options, values) in enumerate(entries)]


def test_a_grid_worked_out_by_hand() -> None:
    # Mean 5; squares 16 + 4 + 0 + 36 = 56 by (1, 3, 5, 11). Means by rows 2, 8: 4 * 9 = 36. By cols 3, 7: 4 * 4 = 16.
    grid = [(2, 2, 1.0), (2, 4, 3.0), (4, 2, 5.0), (4, 4, 11.0)]
    points = _points(*(({"array.rows": r, "array.cols": c}, {"cycles": v, "weights": 7.0}) for r, c, v in grid))
    space = [["array.rows", ["2", "4"]], ["array.cols", ["2", "4"]]]
    shares = importance(points, space, ["cycles", "weights"], drawn=False)
    assert shares == {"cycles": {"array.rows": round(36 / 56, 6), "array.cols": round(16 / 56, 6)}}


def test_a_sum_leaves_nothing_to_interactions_and_a_product_does() -> None:
    pairs = [(a, b) for a in range(4) for b in range(3)]
    sums = [main_effect([pair[i] for pair in pairs], [float(a + 10 * b) for a, b in pairs]) for i in (0, 1)]
    assert sum(share for share in sums if share) == pytest.approx(1)
    product = [float((a - 1.5) * (b - 1)) for a, b in pairs]
    assert main_effect([a for a, _ in pairs], product) == pytest.approx(0)


def test_groups_of_several_sizes_count_by_their_points() -> None:
    # Mean 2; squares 4 + 0 + 0 + 4 = 8. Group a {0, 2, 2} mean 4/3: 3 * 4/9; group b {4}: 4.
    assert main_effect(["a", "a", "a", "b"], [0.0, 2.0, 2.0, 4.0]) == pytest.approx((4 / 3 + 4) / 8)


def test_intervals_are_grouped_by_quantiles() -> None:
    points = _points(*(({"shrink.compression": 5.0 + i * i}, {"weights": float(i // 3)}) for i in range(15)))
    space = [["shrink.compression", [5.0, 201.0]]]
    assert importance(points, space, ["weights"], drawn=True) == {"weights": {"shrink.compression": 1.0}}
    alternating = _points(*(({"shrink.compression": 5.0 + i}, {"weights": float(i % 3)}) for i in range(15)))
    assert importance(alternating, space, ["weights"], drawn=True) == {"weights": {"shrink.compression": 0.0}}


def test_equal_numbers_fall_into_one_group() -> None:
    points = _points(*(({"a.b": 1.0 if i < 8 else 2.0}, {"weights": float(i % 2)}) for i in range(16)))
    assert importance(points, [["a.b", [1.0, 2.0]]], ["weights"], drawn=True) == {"weights": {"a.b": 0.0}}


def test_many_listed_values_are_grouped_where_points_were_drawn() -> None:
    points = _points(*(({"array.rows": i}, {"cycles": float(i % 2)}) for i in range(12)))
    space = [["array.rows", [str(i) for i in range(12)]]]
    assert importance(points, space, ["cycles"], drawn=False)["cycles"]["array.rows"] == 1.0
    assert importance(points, space, ["cycles"], drawn=True)["cycles"]["array.rows"] < 0.2


def test_refused_points_and_text_are_no_hindrance() -> None:
    points = _points(
        *(({"array.pipeline": name}, {"ff": value}) for name, value in (("short", 1.0), ("fast", 3.0), ("fast", 3.0)))
    )
    points.append(Point(number=3, options={"array.pipeline": "fast"}, refused="too large"))
    space = [["array.pipeline", ["short", "fast"]]]
    assert importance(points, space, ["ff"], drawn=False) == {"ff": {"array.pipeline": 1.0}}
    assert importance([], space, ["ff"], drawn=False) == {}
