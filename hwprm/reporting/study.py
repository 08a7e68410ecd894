"""A study as a table for a terminal: its front, or all of its points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Column, Table

__all__ = ["broken_limits", "built_tables", "short_keys", "study_tables"]

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
    keys = short_keys(facts)
    shown = _shown(facts, points)
    tested = any("test_accuracy" in point for point in points)
    table = Table(
        "number",
        *(Column(escape(short), justify="right", overflow="fold") for short in keys.values()),
        *(Column(escape(facts["metrics"][name]["title"]), justify="right") for name in shown),
        *([Column("test accuracy, %", justify="right")] if tested else []),
        *([Column("front", justify="center"), Column("", overflow="fold")] if all_points else []),
        title=escape(_title(facts, all_points)),
        title_justify="left",
    )
    for point in points:
        values = point.get("values", {})
        cells = [str(point["number"]), *(str(point["options"].get(key, "")) for key in keys)]
        cells += [_number(values.get(name)) for name in shown]
        if tested:
            cells.append(_number(point.get("test_accuracy")))
        if all_points:
            cells += ["*" if point["number"] in front else "", _note(point, facts)]
        table.add_row(*map(escape, cells))
    return (table,)


def _title(facts: Facts, all_points: bool) -> str:
    about = facts["about"]
    size = f" of {facts['size']:,}" if facts["size"] is not None else ""
    what = "Points" if all_points else f"Front of {', '.join(facts['objectives'])}"
    where = f", {about['target']}" if about.get("target") else ""
    clock = f" at {about['clock']:g} MHz" if about.get("clock") else ""
    return f"{what}: {about['network']}{where}{clock}, {len(facts['points']):,}{size} points"


def _shown(facts: Facts, points: Sequence[Facts]) -> list[str]:
    """Objectives first, then what else is measured; what is an objective's twin or everywhere the same is left out."""
    measured = list(facts["metrics"])
    others = [name for name in measured if name not in facts["objectives"]]
    limited = {goal["metric"] for goal in facts["limits"]}
    telling = [name for name in others if name in limited or name in ("images_per_second", "utilisation", "dsp")]
    return [name for name in facts["objectives"] if name in measured] + telling


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
        table.add_row(escape(name), _number(facts["promised"].get(name)), _number(value))
    verify = facts["verify"]
    table.add_row("integers compared", "", f"{verify['values_compared']:,}")
    table.add_row("mismatches", "0", f"{verify['mismatches']:,}")
    return (table,)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3f}"
