"""A study in a terminal: its columns, each once, its order, and why a point is not on the front."""

from __future__ import annotations

from typing import Any

from hwprm.reporting.study import broken_limits, built_tables, short_keys, study_tables

METRICS = {
    "cycles": {"title": "cycles", "more": False},
    "images_per_second": {"title": "images/s", "more": True},
    "lut4": {"title": "LUT4", "more": False},
    "weights": {"title": "weights", "more": False},
}


def _point(number: int, rows: int, cycles: int, **more: Any) -> dict[str, Any]:
    values = {"cycles": cycles, "images_per_second": 100_000_000 / cycles, "lut4": 500 * rows, "weights": 0.5}
    return {"number": number, "options": {"array.rows": rows, "array.cols": 4}, "values": values} | more


FACTS: dict[str, Any] = {
    "about": {"network": "net", "target": "ecp5-25k", "clock": 100.0},
    "identity": {"space": [["array.rows", []], ["array.cols", []]]},
    "objectives": ["images_per_second", "lut4"],
    "metrics": METRICS,
    "limits": [{"metric": "cycles", "value": 5000, "most": True, "option": "--max-cycles"}],
    "size": 4,
    "front": [0, 2],
    "points": [
        _point(0, 1, 4000, test_accuracy=98.5),
        _point(1, 2, 6000, final=False),
        _point(2, 4, 1000),
        {"number": 3, "options": {"array.rows": 8, "array.cols": 4}, "refused": "too large " * 20},
    ],
}


def _cells(**how: bool) -> tuple[list[str], list[list[str]]]:
    (table,) = study_tables(FACTS, **how)
    columns = [list(map(str, column.cells)) for column in table.columns]
    return [str(column.header) for column in table.columns], [list(row) for row in zip(*columns, strict=True)]


def test_the_front_is_sorted_by_its_first_objective_and_each_figure_stands_once() -> None:
    head, rows = _cells()
    # An objective that is limited, or shown wherever there is a clock, is no second column.
    assert head == ["no.", "rows", "cols", "images/s", "LUT4", "cycles", "test split, %"]
    assert rows == [
        ["2", "4", "4", "100,000", "2,000", "1,000", "-"],
        ["0", "1", "4", "25,000", "500", "4,000", "98.50"],
    ]
    (table,) = study_tables(FACTS)
    assert table.title == "Front of images_per_second, lut4: net, ecp5-25k at 100 MHz, 4 of 4 points"


def test_all_points_say_why_they_are_not_on_the_front() -> None:
    head, rows = _cells(all_points=True)
    assert head[-2:] == ["front", ""]
    assert [row[0] for row in rows] == ["0", "1", "2", "3"]
    assert [row[-2] for row in rows] == ["*", "", "*", ""]
    assert [row[-1] for row in rows[:3]] == ["", "beyond --max-cycles", ""]
    assert rows[3][-1] == ("too large " * 20)[:57] + "..."
    kept = FACTS | {"limits": []}
    (table,) = study_tables(kept, all_points=True)
    assert list(table.columns[-1].cells)[1] == "ranked"


def test_limits_on_the_edge_are_kept() -> None:
    facts = {"limits": [{"metric": "x", "value": 3, "most": most, "option": f"--{most}"} for most in (True, False)]}
    assert broken_limits({"values": {"x": 3}}, facts) == []
    assert broken_limits({"values": {"x": 4}}, facts) == ["--True"]
    assert broken_limits({"values": {"x": 2}}, facts) == ["--False"]
    assert broken_limits({"values": {}}, facts) == []


def test_names_keep_their_section_where_two_are_alike() -> None:
    facts = {"identity": {"space": [["train.lr", []], ["finetune.lr", []], ["array.rows", []]]}}
    assert short_keys(facts) == {"train.lr": "train.lr", "finetune.lr": "finetune.lr", "array.rows": "rows"}


def test_a_built_point_stands_beside_its_promise() -> None:
    facts = {
        "point": {"number": 7},
        "out": "best",
        "built": {"cycles": 1234, "accuracy": 98.25},
        "promised": {"cycles": 1234},
        "verify": {"values_compared": 12_000, "mismatches": 0},
    }
    (table,) = built_tables(facts)
    assert table.title == "Point 7, built in best"
    columns = [list(map(str, column.cells)) for column in table.columns]
    assert columns[1] == ["1,234", "-", "", "0"] and columns[2] == ["1,234", "98.25", "12,000", "0"]
