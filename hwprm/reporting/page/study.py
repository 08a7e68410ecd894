"""The page about a study: what its script draws, as plain JSON, and what stands on it without one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hwprm.reporting.curves.svg import bar
from hwprm.reporting.page.parts import Bar, Bars, Column, Table, Tile
from hwprm.reporting.study import broken_limits, short_keys

__all__ = ["STATES", "StudyPage", "study_data", "study_page"]

Facts = Mapping[str, Any]
#: What a point is, by its number in the page's data.
STATES = ("front", "dominated", "ranked only", "beyond a limit", "refused")
FRONT, DOMINATED, RANKED, BEYOND, REFUSED = range(len(STATES))


@dataclass(frozen=True, kw_only=True)
class StudyPage:
    """A study's page, ready for the template."""

    title: str
    subtitle: str
    tiles: tuple[Tile, ...]
    #: JSON for the script, with no character that HTML could read as its own.
    data: Markup
    #: Shares of variance, those of objectives and limits; the others; and whether they are indicative only.
    importance: Bars
    more_importance: Bars
    drawn: bool
    refusals: Table | None
    #: Whether two dimensions have listed values, so that there is a map of them.
    mapped: bool


def study_page(facts: Facts) -> StudyPage:
    """The page of `facts`, which are those of ``explored.json``; nothing in it says where or when it was made."""
    data = study_data(facts)
    limited = {goal["metric"] for goal in facts["limits"]}
    first = [name for name in facts["metrics"] if name in facts["objectives"] or name in limited]
    others = [name for name in facts["metrics"] if name not in first]
    # What is valid JSON stays it with these as escapes; and no text can end the script that holds it.
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return StudyPage(
        title=facts["about"]["network"],
        subtitle=" · ".join(_subtitle(facts)),
        tiles=tuple(_tiles(facts, data["state"])),
        data=Markup(text),
        importance=_importance(facts, first),
        more_importance=_importance(facts, others),
        drawn=facts["size"] is None,
        refusals=_refusals(facts),
        mapped=sum(dimension["values"] is not None for dimension in data["dimensions"]) > 1,
    )


def study_data(facts: Facts) -> dict[str, Any]:
    """Columns of the points for the script: a list for each dimension and metric, ``None`` where a point has none.

    A dimension has its `values` in order where it takes few of them, else ``None``: then it is a number of an interval.
    """
    points, names, short = facts["points"], list(facts["metrics"]), short_keys(facts)
    columns = {key: [_plain(point["options"].get(key)) for point in points] for key in short}
    dimensions = [
        {"key": key, "title": short[key], "values": _among(among, columns[key])}
        for key, among in facts["identity"]["space"]
    ]
    metrics = [{"key": name, **facts["metrics"][name]} for name in names]
    values = [[point.get("values", {}).get(name) for point in points] for name in names]
    if any("test_accuracy" in point for point in points):
        metrics.append({"key": "test_accuracy", "title": "test accuracy, %", "more": True})
        values.append([point.get("test_accuracy") for point in points])
    front = set(facts["front"])
    return {
        "dimensions": dimensions,
        "metrics": metrics,
        "objectives": list(facts["objectives"]),
        "limits": [{key: goal[key] for key in ("metric", "value", "most", "option")} for goal in facts["limits"]],
        "states": list(STATES),
        "number": [point["number"] for point in points],
        "options": [columns[key] for key in short],
        "values": values,
        "state": [_state(point, facts, front) for point in points],
        "why": {str(i): point["refused"] for i, point in enumerate(points) if point.get("refused")},
    }


def _state(point: Facts, facts: Facts, front: set[int]) -> int:
    if point["number"] in front:
        return FRONT
    if not point.get("values"):
        return REFUSED
    if broken_limits(point, facts):
        return BEYOND
    return RANKED if point.get("final") is False else DOMINATED


def _plain(value: Any) -> Any:
    """Truth values as the command line takes them; the rest as it is."""
    return str(value).lower() if isinstance(value, bool) else value


def _among(among: Sequence[Any], column: Sequence[Any]) -> list[Any] | None:
    """The values that some point has, numbers ascending and others in the order of the space; None of an interval."""
    taken = list(dict.fromkeys(value for value in column if value is not None))
    if any(isinstance(value, float) for value in among):  # listed ones are text there
        return None
    if all(isinstance(value, int | float) for value in taken):
        return sorted(taken)
    return sorted(taken, key=lambda value: among.index(str(value)) if str(value) in among else len(among))


def _subtitle(facts: Facts) -> Iterator[str]:
    about = facts["about"]
    if about.get("target"):
        yield about["target"]
    if about.get("clock"):
        yield f"{about['clock']:g} MHz"
    if about.get("data"):
        judged = f", judged on {about['judged']:,} images held out" if about.get("judged") else ""
        yield f"{about['data']}{judged}"
    for goal in facts["limits"]:
        title = facts["metrics"].get(goal["metric"], {}).get("title", goal["metric"])
        yield f"{title} {'at most' if goal['most'] else 'at least'} {goal['value']:,g}"


def _tiles(facts: Facts, states: Sequence[int]) -> Iterator[Tile]:
    counts = Counter(states)
    note = "searched" if facts["size"] is None else f"of {facts['size']:,}"
    yield Tile(label="Points", value=f"{len(states):,}", note=note)
    yield Tile(label="On the front", value=f"{counts[FRONT]:,}", note="no point beats them")
    if facts["limits"]:
        yield Tile(label="Beyond a limit", value=f"{counts[BEYOND]:,}")
    if counts[REFUSED]:
        yield Tile(label="Refused", value=f"{counts[REFUSED]:,}", note="cannot be built; why is below")
    best = [point for point, state in zip(facts["points"], states, strict=True) if state == FRONT]
    for name in facts["objectives"]:
        having = [point for point in best if name in point["values"]]
        if having:
            more = facts["metrics"][name]["more"]
            point = (max if more else min)(having, key=lambda point: point["values"][name])
            label = f"{'Most' if more else 'Least'} {facts['metrics'][name]['title']}"
            yield Tile(label=label, value=f"{point['values'][name]:,.10g}", note=f"point {point['number']}")


def _importance(facts: Facts, names: Sequence[str]) -> Bars:
    short = short_keys(facts)
    charts = []
    for name in names:
        shares = facts["importance"].get(name)
        if shares:
            bars = tuple(
                Bar(label=short[key], value=f"{100 * share:.1f} %", picture=bar(share)) for key, share in shares.items()
            )
            charts.append((facts["metrics"][name]["title"], bars))
    return Bars(charts=tuple(charts))


def _refusals(facts: Facts) -> Table | None:
    """Why points were refused, each reason once, with how many and the first of them."""
    reasons: dict[str, list[int]] = {}
    for point in facts["points"]:
        if point.get("refused"):
            reasons.setdefault(point["refused"], []).append(point["number"])
    if not reasons:
        return None
    ordered = sorted(reasons.items(), key=lambda entry: (-len(entry[1]), entry[1][0]))
    titles = (("Why", False), ("Points", True), ("First", True))
    return Table(
        caption="Refused points",
        columns=tuple(Column(title=title, numeric=numeric) for title, numeric in titles),
        rows=tuple((why, f"{len(numbers):,}", str(numbers[0])) for why, numbers in ordered),
        folded=True,
    )
