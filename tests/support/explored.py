"""Facts of studies, as ``explored.json`` holds them, without computing one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwprm.exploration.metrics import Goal
from hwprm.exploration.points import Point
from hwprm.exploration.study import Study

__all__ = ["grid_study"]


def grid_study(folder: Path, *, rows: int = 6, cols: int = 5, bits: int = 2, name: str = "lenet5") -> Study:
    """Every point of rows x cols x bits of weights with figures of a plain formula; two of a kind are refused.

    One limit, on the LUTs, which the largest arrays do not keep.
    """
    points, number = [], 0
    for width in range(8, 8 - bits, -1):
        for r in range(1, rows + 1):
            for c in range(1, cols + 1):
                options = {"quantize.weight_bits": width, "array.rows": r, "array.cols": c}
                values = {
                    "accuracy": round(99.0 - (8 - width) ** 2 / 4, 2),
                    "cycles": 480000 // (r * c) + 100 * (r + c),
                    "utilisation": round(1 / (1 + 0.01 * r * c), 6),
                    "lut4": float(300 + r * c * (10 + width) + (r * 37 + c * 11) % 50),
                }
                refused = "" if r != c or r < rows - 1 else f"{r} rows and <b>{c}</b> columns do not go together"
                points.append(Point(number=number, options=options, values={} if refused else values, refused=refused))
                number += 1
    limit = 0.8 * max(point.values.get("lut4", 0) for point in points)
    values_of: list[tuple[str, range]] = [
        ("quantize.weight_bits", range(8, 8 - bits, -1)),
        ("array.rows", range(1, rows + 1)),
        ("array.cols", range(1, cols + 1)),
    ]
    identity: dict[str, Any] = {
        "mode": "every point",
        "network": "0" * 64,
        "data": "1" * 64,
        "code": "2" * 64,
        "space": [[key, [str(value) for value in among]] for key, among in values_of],
        "options": [],
    }
    return Study(
        folder=folder,
        identity=identity,
        objectives=("accuracy", "cycles", "lut4"),
        limits=(Goal(metric="lut4", value=round(limit), most=True, option="max_lut"),),
        points=tuple(points),
        size=len(points),
        about={"network": name, "target": "ecp5-85k", "clock": 100.0, "data": "mnist", "judged": 1000},
    )
