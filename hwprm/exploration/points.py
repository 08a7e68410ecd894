"""Points of a study, and the file that keeps them: a line each: a kill leaves all that were finished."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwprm.config.options import show
from hwprm.core.errors import InputError

__all__ = ["POINTS", "Journal", "Point", "plain"]

#: Name of the file in a study's folder.
POINTS = "points.jsonl"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point: its `options` as plain JSON, and its `values`, or why it is `refused`."""

    number: int
    options: Mapping[str, Any]
    values: Mapping[str, float] = field(default_factory=dict)
    refused: str = ""
    #: Whether its network got all of its fine-tuning; a search ranks points by less, and finishes those of the front.
    final: bool = True
    #: Of a finished point the values that it was ranked by.
    ranked: Mapping[str, float] | None = None
    #: Accuracy on the test split, per cent, of points of the front, which alone are ever shown it.
    test_accuracy: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; what is at its default is left out."""
        full: dict[str, Any] = {"number": self.number, "options": dict(self.options)}
        if self.values:
            full["values"] = dict(self.values)
        if self.refused:
            full["refused"] = self.refused
        if not self.final:
            full["final"] = False
        if self.ranked is not None:
            full["ranked"] = dict(self.ranked)
        if self.test_accuracy is not None:
            full["test_accuracy"] = self.test_accuracy
        return full

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Point:
        """Read what `to_json` made. Raises TypeError or KeyError when it is anything else."""
        return cls(**{"number": entry["number"], "options": entry["options"], **entry})


class Journal:
    """``points.jsonl``: every finished point is a line, written whole and synchronised before the next is begun.

    A later line of a number replaces an earlier one. A last line that a kill cut short is dropped.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / POINTS
        self.points: dict[int, Point] = {}
        self._whole = 0
        if self.file.is_file():
            self._read()

    def _read(self) -> None:
        data = self.file.read_bytes()
        self._whole = data.rfind(b"\n") + 1
        for number, line in enumerate(data[: self._whole].splitlines(), 1):
            try:
                point = Point.from_json(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{self.file}, line {number}, is no point ({error}); the file was edited or cut: delete that line, "
                    "and the point is computed again"
                ) from error
            self.points[point.number] = point

    def add(self, *points: Point) -> None:
        """Keep `points`. Raises InputError when the disk refuses; what was kept before stays readable."""
        text = "".join(json.dumps(point.to_json(), allow_nan=False) + "\n" for point in points)
        try:
            with self.file.open("r+b" if self.file.is_file() else "wb") as stream:
                stream.truncate(self._whole)  # half a line, of a kill or of a full disk
                stream.seek(self._whole)
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise InputError(
                f"cannot keep point {points[0].number} in {self.file}: {error.strerror}; the points before are kept: "
                "make room and run the same command again"
            ) from error
        self._whole += len(text.encode())
        self.points |= {point.number: point for point in points}

    @property
    def ordered(self) -> list[Point]:
        """All points by number."""
        return [self.points[number] for number in sorted(self.points)]


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` as JSON that a file of options could hold: numbers, truth values, and text for the rest."""
    return {
        key: value if isinstance(value, bool | int | float) and value is not None else show(value)
        for key, value in options.items()
    }
