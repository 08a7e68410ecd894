"""A study: what was explored, every point that was computed, and the front of those that no other one beats."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwprm.core.errors import InputError
from hwprm.core.files import read_json, write_file
from hwprm.core.formats import STUDY
from hwprm.exploration.importance import importance
from hwprm.exploration.metrics import METRICS, Goal, front_of
from hwprm.exploration.points import Journal, Point
from hwprm.reporting.page import write_study

__all__ = ["STUDY_FILE", "Study", "check_identity"]

#: Name of the file that says what a folder explores.
STUDY_FILE = "study.json"
#: What a study hangs on, in words, by the keys of its identity.
WORDS = {
    "network": "network",
    "data": "data",
    "code": "version of hwprm",
    "space": "space",
    "options": "options",
    "mode": "kind of exploration",
}


@dataclass(frozen=True, kw_only=True)
class Study:
    """An exploration and its points so far.

    >>> study = hwprm.explore("small", out="study", explore=ExploreConfig(rows="2..16", cols="2..16"))
    >>> pandas.DataFrame(study.records())
    """

    folder: Path
    #: What tells the study from any other: plain JSON by the keys of `WORDS`.
    identity: Mapping[str, Any]
    objectives: tuple[str, ...]
    limits: tuple[Goal, ...]
    points: tuple[Point, ...]
    #: Points that there are in all, where every one is computed.
    size: int | None = None
    #: Facts of the source and of the run, for tables and the page.
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def within(self) -> tuple[Point, ...]:
        """Points that were measured and keep every limit."""
        return tuple(point for point in self.points if point.values and not self.broken(point))

    def broken(self, point: Point) -> tuple[Goal, ...]:
        """The limits that `point` does not keep."""
        return tuple(goal for goal in self.limits if goal.excess(point.values) > 0)

    def front(self) -> tuple[Point, ...]:
        """The points that keep every limit and that no other such point dominates, by number.

        Where a search finished some, only finished ones count.
        """
        candidates = [point for point in self.within if all(name in point.values for name in self.objectives)]
        finished = any(point.final and point.values for point in self.points)
        chosen = [point for point in candidates if point.final or not finished]
        return tuple(chosen[i] for i in front_of([point.values for point in chosen], self.objectives))

    def point(self, number: int) -> Point:
        """The point of that number. Raises InputError when there is none."""
        for point in self.points:
            if point.number == number:
                return point
        raise InputError(
            f"{self.folder} has no point {number}; it has {len(self.points)} points, `hwprm explore {self.folder} "
            "--all` lists them"
        )

    def records(self) -> list[dict[str, Any]]:
        """A flat row for every point, for pandas and CSV: number, options, values, ``front``, ``refused``."""
        best = {point.number for point in self.front()}
        measured, tested = self.measured, self.tested
        return [
            {"number": point.number}
            | dict(point.options)
            | {name: point.values.get(name) for name in measured}
            | ({"test_accuracy": point.test_accuracy} if tested else {})
            | {
                "front": point.number in best,
                "within": bool(point.values) and not self.broken(point),
                "final": point.final,
                "refused": point.refused or None,
            }
            for point in self.points
        ]

    @property
    def measured(self) -> tuple[str, ...]:
        """Metrics that some point has, in the order of tables."""
        found = {name for point in self.points for name in point.values}
        return tuple(name for name in METRICS if name in found)

    @property
    def tested(self) -> bool:
        """Whether points of the front were scored on the test split."""
        return any(point.test_accuracy is not None for point in self.points)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON with everything that tables and the page show; docs/explore.md lists the keys."""
        return {
            "format": STUDY,
            "identity": dict(self.identity),
            "about": dict(self.about),
            "objectives": list(self.objectives),
            "limits": [
                {"metric": goal.metric, "value": goal.value, "most": goal.most, "option": goal.option}
                for goal in self.limits
            ],
            "size": self.size,
            "metrics": {name: {"title": METRICS[name].title, "more": METRICS[name].more} for name in self.measured},
            "front": [point.number for point in self.front()],
            "importance": importance(self.points, self.identity["space"], self.measured, drawn=self.size is None),
            "points": [point.to_json() for point in self.points],
        }

    def csv(self, *, front: bool = False) -> str:
        """The `records`, or those of the front, as CSV with a head line."""
        every = self.records()
        rows = [row for row in every if row["front"] or not front]
        out = io.StringIO()
        names = list(every[0]) if every else ["number"]
        writer = csv.DictWriter(out, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()

    def save_tables(self) -> None:
        """Write ``front.csv``, ``points.csv``, ``explored.json`` and the page ``study.html`` beside the points."""
        write_file(self.folder / "points.csv", self.csv())
        write_file(self.folder / "front.csv", self.csv(front=True))
        facts = self.to_json()
        write_file(self.folder / "explored.json", json.dumps(facts, indent=1, allow_nan=False) + "\n")
        write_study(facts, self.folder / "study.html")

    @classmethod
    def load(cls, folder: Path | str) -> Study:
        """The study in `folder`, as its last run left it, also one that was interrupted.

        Raises InputError when there is none, or one of another version.
        """
        folder = Path(folder)
        try:
            head = read_json(folder / STUDY_FILE)
            if head["format"] != STUDY:
                raise InputError(f"{folder}: format {head['format']!r}, this version reads {STUDY!r}; explore anew")
            return cls(
                folder=folder,
                identity=head["identity"],
                objectives=tuple(head["objectives"]),
                limits=tuple(Goal(**goal) for goal in head["limits"]),
                points=tuple(Journal(folder).ordered),
                size=head["size"],
                about=head["about"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder} holds no study ({error}); make one with `hwprm explore MODEL -o {folder}`"
            ) from error

    def save_head(self) -> None:
        """Write ``study.json``: what the study is, without its points."""
        head = {
            "format": STUDY,
            "identity": dict(self.identity),
            "objectives": list(self.objectives),
            "limits": self.to_json()["limits"],
            "size": self.size,
            "about": dict(self.about),
        }
        write_file(self.folder / STUDY_FILE, json.dumps(head, indent=1, allow_nan=False) + "\n")

    def __repr__(self) -> str:
        of = f" of {self.size}" if self.size is not None else ""
        best = len(self.front())
        return (
            f"<Study {self.folder}: {len(self.points)}{of} points, {best} on the front of {', '.join(self.objectives)}>"
        )

    def _repr_html_(self) -> str:
        rows = [row for row in self.records() if row["front"]]
        names = [name for name in (rows[0] if rows else {}) if name not in ("front", "within", "final", "refused")]
        head = "".join(f"<th>{html.escape(METRICS[n].title if n in METRICS else n)}</th>" for n in names)
        body = "".join("<tr>" + "".join(f"<td>{_cell(row[n])}</td>" for n in names) + "</tr>" for row in rows)
        title = html.escape(repr(self)[1:-1])
        return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return html.escape("" if value is None else str(value))
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def check_identity(folder: Path, identity: Mapping[str, Any]) -> None:
    """Raise InputError, saying what differs, when the study in `folder` is not of this `identity`."""
    old = Study.load(folder).identity
    differ = [
        f"{word}{_change(old.get(key), identity[key])}" for key, word in WORDS.items() if old.get(key) != identity[key]
    ]
    if differ:
        raise InputError(
            f"{folder} is another study: it differs in {'; in '.join(differ)}. Take another folder with --out, or "
            "the same network, data and options as before"
        )


def _change(old: Any, new: Any) -> str:
    """What changed, where a reader can tell: options and dimensions, not digests."""
    if not isinstance(old, Sequence) or isinstance(old, str) or not isinstance(new, Sequence):
        return f" ({str(old)[:12]}, now {str(new)[:12]})"
    before, after = [_short(item) for item in old if item not in new], [_short(item) for item in new if item not in old]
    return f" ({', '.join(before) or 'less'}, now {', '.join(after) or 'less'})"


def _short(item: Any) -> str:
    text = item if isinstance(item, str) else json.dumps(item)
    return text if len(text) <= 60 else text[:57] + "..."
