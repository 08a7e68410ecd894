"""Two reports side by side."""

from __future__ import annotations

import io

from rich.console import Console

from hwprm.reporting.compare import compare_facts, compare_tables

ONE = {
    "format": "x-1",
    "net": "lenet5",
    "accuracy": {"dense": 99.0, "integer": 98.0},
    "cycles": {"predicted": 100, "layers": [{"name": "conv1", "cycles": 60}, {"name": "fc", "cycles": 40}]},
    "ok": True,
    "sizes": [1, 2],
    "seconds": {"train": 5.0},
}
OTHER = {
    "format": "x-2",
    "net": "other",
    "accuracy": {"dense": 99.0, "integer": 98.5},
    "cycles": {"predicted": 90, "layers": [{"name": "fc", "cycles": 40}, {"name": "conv1", "cycles": 50}]},
    "ok": False,
    "sizes": [1, 3, 4],
    "seconds": {"train": 7.0},
}


def test_numbers_that_differ() -> None:
    found = compare_facts(ONE, OTHER)
    assert {row["what"]: (row["a"], row["b"]) for row in found["rows"]} == {
        "accuracy.integer": (98.0, 98.5),
        "cycles.predicted": (100, 90),
        "cycles.layers.conv1.cycles": (60, 50),
        "sizes.1": (2, 3),
        "sizes.2": (None, 4),
    }
    assert found["equal"] == 3  # dense, fc, the first size


def test_a_report_is_equal_to_itself() -> None:
    assert compare_facts(ONE, ONE) == {"rows": [], "equal": 7}


def test_table() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    for table in compare_tables(compare_facts(ONE, OTHER), ("runs/a", "runs/b")):
        console.print(table)
    text = console.export_text()
    assert "5 numbers differ, 3 are equal" in text and "0.900" in text and "cycles.layers.conv1.cycles" in text
