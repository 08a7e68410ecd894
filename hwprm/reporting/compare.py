"""Two of a kind, number by number: runs, rows, models, networks, bundles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Column, Table

__all__ = ["compare_facts", "compare_tables"]

Facts = Mapping[str, Any]
#: Keys of entries in lists by which they are told apart.
NAMES = ("name", "stage", "seed", "number", "layer")
#: Facts that differ whenever anything does, or that say nothing of the result.
IDLE = ("seconds", "format", "seed")


def compare_facts(first: Facts, second: Facts) -> dict[str, Any]:
    """The numbers that two reports have, side by side: ``rows`` of ``what``, ``a``, ``b`` (None where one lacks it).

    ``equal`` counts those in both that are the same, which are no rows. Keys are those of docs/report.md, joined by
    dots; entries of lists go by their names.
    """
    a, b = dict(_numbers(first)), dict(_numbers(second))
    keys = [*a, *(key for key in b if key not in a)]
    rows = [{"what": key, "a": a.get(key), "b": b.get(key)} for key in keys if a.get(key) != b.get(key)]
    return {"rows": rows, "equal": sum(key in b and a[key] == b[key] for key in a)}


def _numbers(facts: Any, above: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(facts, bool):
        return
    if isinstance(facts, int | float):
        yield above, facts
    elif isinstance(facts, Mapping):
        for key, value in facts.items():
            if key not in IDLE:
                yield from _numbers(value, f"{above}.{key}" if above else str(key))
    elif isinstance(facts, list):
        for i, entry in enumerate(facts):
            name = next((entry[key] for key in NAMES if isinstance(entry, Mapping) and key in entry), i)
            yield from _numbers(entry, f"{above}.{name}")


def compare_tables(facts: Facts, names: tuple[str, str]) -> tuple[Table, ...]:
    """A table of `compare_facts`: each number of both, and the second by the first."""
    rows = facts["rows"]
    title = f"{names[0]} and {names[1]}: {len(rows)} numbers differ, {facts['equal']} are equal"
    widths = [max((len(_text(row[key])) for row in rows), default=1) for key in ("a", "b")]
    right = [Column(title, justify="right", min_width=w) for title, w in zip(("first", "second"), widths, strict=True)]
    table = Table(
        Column("what", overflow="fold"),
        *right,
        Column("second / first", justify="right"),
        title=escape(title),
        title_justify="left",
    )
    for row in rows:
        a, b = row["a"], row["b"]
        ratio = f"{b / a:.3f}" if a and b is not None else ""
        table.add_row(escape(row["what"]), _text(a), _text(b), ratio)
    return (table,)


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
