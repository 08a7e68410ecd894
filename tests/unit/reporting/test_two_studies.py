"""Fronts of two studies beside each other."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from hwprm.core.errors import InputError
from hwprm.reporting.two_studies import compare_studies, two_studies_tables

METRICS = {"accuracy": {"title": "accuracy, %", "more": True}, "cycles": {"title": "cycles an image", "more": False}}


def study(
    front: list[int], *points: tuple[int, float, int], objectives: tuple[str, ...] = ("accuracy", "cycles")
) -> Any:
    """Facts of a study whose `points` are rows, accuracy, cycles."""
    return {
        "objectives": list(objectives),
        "metrics": {name: METRICS[name] for name in objectives},
        "identity": {"space": [["array.rows", [1, 2]]]},
        "front": front,
        "points": [
            {"number": i, "options": {"array.rows": rows}, "values": {"accuracy": accuracy, "cycles": cycles}}
            for i, (rows, accuracy, cycles) in enumerate(points)
        ],
    }


ONE = study([0, 1], (4, 99.0, 100), (8, 98.0, 50), (2, 97.0, 400))
OTHER = study([0, 1, 2], (8, 98.0, 40), (4, 99.0, 100), (16, 97.0, 30))


def test_the_front_of_both() -> None:
    found = compare_studies(ONE, OTHER)
    # Rows of 4 are equal in both, and the first study's; its rows of 8 are beaten.
    assert [(point["study"], point["number"]) for point in found["front"]] == [(0, 0), (1, 0), (1, 2)]
    assert [facts["dominated"] for facts in found["studies"]] == [1, 0]
    assert found["studies"][0]["best"] == {"accuracy": 99.0, "cycles": 50}
    assert found["studies"][1]["best"] == {"accuracy": 99.0, "cycles": 30}


def test_points_of_equal_options() -> None:
    shared = compare_studies(ONE, OTHER)["shared"]
    assert shared["points"] == 2
    assert shared["ratio"] == {"accuracy": [1.0, 1.0, 1.0], "cycles": [0.8, 0.9, 1.0]}


def test_a_study_is_equal_to_itself() -> None:
    found = compare_studies(ONE, ONE)
    assert {point["study"] for point in found["front"]} == {0} and len(found["front"]) == 2
    assert all(facts["dominated"] == 0 for facts in found["studies"])
    assert set(map(tuple, found["shared"]["ratio"].values())) == {(1.0, 1.0, 1.0)}


def test_objectives_of_one_alone_are_left_out() -> None:
    fast = study([0], (4, 0.0, 30), objectives=("cycles",))
    found = compare_studies(ONE, fast)
    assert found["objectives"] == ["cycles"] and [p["study"] for p in found["front"]] == [1]
    with pytest.raises(InputError, match="no objective in common"):
        compare_studies(study([], objectives=("accuracy",)), fast)


def test_a_study_without_a_front() -> None:
    found = compare_studies(study([], (4, 99.0, 10)), OTHER)
    assert found["studies"][0]["best"] == {} and found["studies"][0]["front"] == 0
    assert [point["study"] for point in found["front"]] == [1, 1, 1]


def test_tables_at_80_columns() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    for table in two_studies_tables(compare_studies(ONE, OTHER), ("runs/a", "runs/b")):
        console.print(table)
    text = console.export_text()
    assert "runs/a and runs/b; quotients of 2 points with equal options" in text
    assert "0.900 (0.800 to 1.000)" in text and "dominated by the other's front" in text
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text


def test_points_that_lose_without_a_third_objective_are_no_front() -> None:
    """The second is on its front for its LUTs alone, which the other study did not measure."""
    wide = study([0, 1], (4, 99.0, 100), (8, 98.5, 120))
    wide["objectives"].append("lut4")
    found = compare_studies(wide, study([0], (16, 97.0, 30)))
    assert [(point["study"], point["number"]) for point in found["front"]] == [(0, 0), (1, 0)]
