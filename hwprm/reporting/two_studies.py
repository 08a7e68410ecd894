"""Two studies side by side: whose front is the better, and what became of the points that both have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from rich.markup import escape
from rich.table import Column, Table

from hwprm.core.errors import InputError
from hwprm.core.pareto import dominates, pareto_front
from hwprm.reporting.study import number_text, short_keys

__all__ = ["compare_studies", "two_studies_tables"]

Facts = Mapping[str, Any]


def compare_studies(first: Facts, second: Facts) -> dict[str, Any]:
    """What two studies (keys of docs/explore.md) found: how good each front is alone, and the front of both together.

    ``objectives`` are those of either that both measured; ``studies`` has for each the number of points, those on its
    front, those of them that a point of the other's front dominates, and the best value of each objective; ``front``
    lists the points that none of either dominates, of equal ones the first study's; ``shared`` counts points of equal
    options that both measured, and has for each objective the smallest, median and largest of second / first.
    Raises InputError where no objective is measured by both.
    """
    studies = (first, second)
    either = dict.fromkeys(str(name) for facts in studies for name in facts["objectives"])
    names = [name for name in either if all(name in facts["metrics"] for facts in studies)]
    if not names:
        raise InputError("the two studies measured no objective in common; there is nothing to compare them by")
    metrics = {name: dict(first["metrics"][name]) for name in names}
    fronts = [[point for point in _front(facts) if all(name in point["values"] for name in names)] for facts in studies]
    keys = [[_key(point, metrics) for point in front] for front in fronts]
    found = [
        {
            "points": len(facts["points"]),
            "front": len(front),
            "dominated": sum(any(dominates(rival, key) for rival in keys[1 - i]) for key in keys[i]),
            "best": {name: _best(front, name, metrics) for name in names if front},
        }
        for i, (facts, front) in enumerate(zip(studies, fronts, strict=True))
    ]
    every = [(i, point) for i, front in enumerate(fronts) for point in front]
    together = [
        {"study": i, "number": point["number"], "options": point["options"]}
        | {"values": {name: point["values"][name] for name in names}}
        for i, point in (every[at] for at in pareto_front([*keys[0], *keys[1]]))
    ]
    together.sort(key=lambda point: _key(point, metrics))
    return {
        "objectives": names,
        "metrics": metrics,
        "keys": {key: short for facts in studies for key, short in short_keys(facts).items()},
        "studies": found,
        "front": together,
        "shared": _shared(first, second, names),
    }


def _front(facts: Facts) -> Iterator[Facts]:
    chosen = set(facts["front"])
    return (point for point in facts["points"] if point["number"] in chosen)


def _key(point: Facts, metrics: Facts) -> tuple[float, ...]:
    """The values of a point in the order of `metrics`, of which less is better."""
    values = ((float(point["values"][name]), metric["more"]) for name, metric in metrics.items())
    return tuple(-value if more else value for value, more in values)


def _best(front: list[Facts], name: str, metrics: Facts) -> float:
    values: list[float] = [point["values"][name] for point in front]
    return max(values) if metrics[name]["more"] else min(values)


def _shared(first: Facts, second: Facts, names: list[str]) -> dict[str, Any]:
    """Of points with equal options that both measured: how many, and the quotients of their values."""
    known = {json.dumps(point["options"], sort_keys=True): point for point in first["points"] if point.get("values")}
    pairs = [
        (known[key]["values"], point["values"])
        for point in second["points"]
        if point.get("values") and (key := json.dumps(point["options"], sort_keys=True)) in known
    ]
    ratios = {name: [b[name] / a[name] for a, b in pairs if a.get(name) and b.get(name) is not None] for name in names}
    return {
        "points": len(pairs),
        "ratio": {name: [min(found), median(found), max(found)] for name, found in ratios.items() if found},
    }


def two_studies_tables(facts: Facts, names: tuple[str, str]) -> tuple[Table, ...]:
    """Tables of `compare_studies`: each study alone, then the front of both together."""
    shared = facts["shared"]
    alone = Table(
        Column("what", overflow="fold"),
        Column("first", justify="right"),
        Column("second", justify="right"),
        Column("second / first", justify="right"),
        title=escape(f"{names[0]} and {names[1]}; quotients of {shared['points']:,} points with equal options"),
        title_justify="left",
    )
    for key, what in (("points", "points"), ("front", "on the front"), ("dominated", "dominated by the other's front")):
        alone.add_row(what, *(f"{study[key]:,}" for study in facts["studies"]))
    for name in facts["objectives"]:
        best = (number_text(study["best"].get(name)) for study in facts["studies"])
        ratio = shared["ratio"].get(name)
        told = f"{ratio[1]:.3f} ({ratio[0]:.3f} to {ratio[2]:.3f})" if ratio else ""
        alone.add_row(escape(f"best {facts['metrics'][name]['title']}"), *best, told)
    used = [key for key in facts["keys"] if any(key in point["options"] for point in facts["front"])]
    heads = ["study", "no.", *(facts["keys"][key].replace("_", " ") for key in used)]
    heads += [facts["metrics"][name]["title"] for name in facts["objectives"]]
    columns = (Column(escape(head), justify="right") for head in heads)
    both = Table(*columns, title="Front of both together", title_justify="left", padding=(0, 0, 0, 1))
    for point in facts["front"]:
        options = (str(point["options"].get(key, "")) for key in used)
        values = (number_text(point["values"][name]) for name in facts["objectives"])
        both.add_row("second" if point["study"] else "first", str(point["number"]), *map(escape, options), *values)
    return alone, both
