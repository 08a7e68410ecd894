"""A study as a table for a terminal: its front, or all of its points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rich.markup import escape
from rich.table import Column, Table

__all__ = ["broken_limits", "built_tables", "number_text", "short_keys", "study_tables"]

Facts = Mapping[str, Any]
#: Widest text of a refusal in the table.
WHY_MAX = 60


def study_tables(facts: Facts, *, all_points: bool = False) -> tuple[Table, ...]:
    """The front of a study (keys of docs/explore.md), best first by its first objective; or all points by number."""
    front = set(facts["front"])
    points = [point for point in facts["points"] if all_points or point["number"] in front]
    if not all_points:
        name = facts["objectives"][0]
        more = facts["metrics"].get(name, {}).get("more", False)
        points.sort(key=lambda point: (-1 if more else 1) * point["values"].get(name, 0))
    head: list[tuple[str, Callable[[Facts], str]]] = [("no.", lambda point: str(point["number"]))]
    head += [(short.replace("_", " "), partial(_option, key=key)) for key, short in short_keys(facts).items()]
    head += [(facts["metrics"][name]["title"], partial(_value, name=name)) for name in _shown(facts)]
    if any("test_accuracy" in point for point in points):
        head.append(("test split, %", lambda point: number_text(point.get("test_accuracy"))))
    if all_points:
        head.append(("front", lambda point: "*" if point["number"] in front else ""))
    cells = [[of(point) for _, of in head] for point in points]
    # Words of the head wrap in a narrow terminal, numbers stay whole.
    widths = [max((len(row[i]) for row in cells), default=1) for i in range(len(head))]
    columns = [Column(escape(name), justify="right", min_width=w) for (name, _), w in zip(head, widths, strict=True)]
    notes = [Column("", overflow="fold")] if all_points else []
    table = Table(*columns, *notes, title=escape(_title(facts, all_points)), title_justify="left", padding=(0, 0, 0, 1))
    for point, row in zip(points, cells, strict=True):
        table.add_row(*map(escape, [*row, _note(point, facts)] if all_points else row))
    return (table,)


def _title(facts: Facts, all_points: bool) -> str:
    about = facts["about"]
    size = f" of {facts['size']:,}" if facts["size"] is not None else ""
    what = "Points" if all_points else f"Front of {', '.join(facts['objectives'])}"
    where = f", {about['target']}" if about.get("target") else ""
    clock = f" at {about['clock']:g} MHz" if about.get("clock") else ""
    return f"{what}: {about['network']}{where}{clock}, {len(facts['points']):,}{size} points"


def _shown(facts: Facts) -> list[str]:
    """Objectives first, then what is limited, and images a second where a clock is given; files have all the rest."""
    limited = {goal["metric"] for goal in facts["limits"]} | {"images_per_second"}
    others = [name for name in facts["metrics"] if name not in facts["objectives"] and name in limited]
    return [name for name in facts["objectives"] if name in facts["metrics"]] + others


def _option(point: Facts, key: str) -> str:
    return str(point["options"].get(key, ""))


def _value(point: Facts, name: str) -> str:
    return number_text(point.get("values", {}).get(name))


def short_keys(facts: Facts) -> dict[str, str]:
    """Every dimension of a study without its section, where that leaves no doubt."""
    keys = [entry[0] for entry in facts["identity"]["space"]]
    names = [key.partition(".")[2] for key in keys]
    return {key: name if names.count(name) == 1 else key for key, name in zip(keys, names, strict=True)}


def broken_limits(point: Facts, facts: Facts) -> list[str]:
    """Options of the limits that a measured point does not keep."""
    return [
        goal["option"]
        for goal in facts["limits"]
        if goal["metric"] in point["values"]
        and (point["values"][goal["metric"]] > goal["value"]) == goal["most"]
        and point["values"][goal["metric"]] != goal["value"]
    ]


def _note(point: Facts, facts: Facts) -> str:
    if why := point.get("refused"):
        return str(why) if len(why) <= WHY_MAX else str(why)[: WHY_MAX - 3] + "..."
    broken = broken_limits(point, facts)
    return f"beyond {', '.join(broken)}" if broken else "ranked" if point.get("final") is False else ""


def built_tables(facts: Facts) -> tuple[Table, ...]:
    """A built point: what was promised beside what came out."""
    title = f"Point {facts['point']['number']}, built in {facts['out']}"
    right = [Column(name, justify="right") for name in ("promised", "built")]
    table = Table("figure", *right, title=escape(title), title_justify="left")
    for name, value in facts["built"].items():
        table.add_row(escape(name), number_text(facts["promised"].get(name)), number_text(value))
    verify = facts["verify"]
    table.add_row("integers compared", "", f"{verify['values_compared']:,}")
    table.add_row("mismatches", "0", f"{verify['mismatches']:,}")
    return (table,)


def number_text(value: float | None) -> str:
    """A figure of a point in a table: no more digits than it needs."""
    if value is None:
        return "-"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3f}"
