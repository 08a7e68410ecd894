"""What each layer loses for the cycles that it saves, as facts, as a table, and as a page of bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Column as Head
from rich.table import Table as Terminal

from hwprm.core.files import write_file
from hwprm.pruning.sensitivity import Cut
from hwprm.reporting.curves.svg import bar
from hwprm.reporting.page import render
from hwprm.reporting.page.parts import Bar, Bars, Column, Section, Table, Tile
from hwprm.reporting.page.summary import Page

__all__ = ["sensitivity_facts", "sensitivity_tables", "write_sensitivity_page"]

Facts = Mapping[str, Any]
#: Heads of both tables.
HEADS = ("layer", "cut", "kept", "points lost", "cycles saved", "lost per 1,000 cycles")


def sensitivity_facts(cuts: Sequence[Cut], rows: int, cols: int) -> dict[str, Any]:
    """Plain JSON: the array, and ``cuts`` as they were tried."""
    return {
        "array": {"rows": rows, "cols": cols},
        "cuts": [
            {
                "layer": cut.layer,
                "kind": cut.kind,
                "kept": cut.kept,
                "of": cut.of,
                "accuracy_lost": cut.lost,
                "cycles_saved": cut.saved,
                "lost_per_1000_cycles": None if cut.rate is None else round(cut.rate, 4),
            }
            for cut in cuts
        ],
    }


def sensitivity_tables(facts: Facts) -> tuple[Terminal, ...]:
    """A table for a terminal, the cuts in the order of the network."""
    array = facts["array"]
    table = Terminal(
        *HEADS[:2],
        *(Head(title, justify="right") for title in HEADS[2:]),
        title=escape(f"Sensitivity on {array['rows']} x {array['cols']}, before any training"),
        title_justify="left",
    )
    for cut in facts["cuts"]:
        table.add_row(*map(escape, _cells(cut)))
    return (table,)


def _cells(cut: Facts) -> tuple[str, ...]:
    rate = cut["lost_per_1000_cycles"]
    return (
        cut["layer"],
        cut["kind"],
        f"{cut['kept']} of {cut['of']}",
        f"{cut['accuracy_lost']:.2f}",
        f"{cut['cycles_saved']:,}",
        "-" if rate is None else f"{rate:.2f}",
    )


def write_sensitivity_page(facts: Facts, target: Path) -> None:
    """Write the page to `target`, whole or not at all: bars of each cut, what it loses beside what it saves."""
    lost, saved = ([cut[key] for cut in facts["cuts"]] for key in ("accuracy_lost", "cycles_saved"))
    names = [f"{cut['layer']}: {cut['kept']} of {cut['of']} {cut['kind']}" for cut in facts["cuts"]]
    bars = Bars(
        charts=(
            ("Accuracy lost, percentage points", _bars(names, lost, "{:.2f}")),
            ("Cycles saved, an image", _bars(names, saved, "{:,.0f}")),
        )
    )
    table = Table(
        caption="The same as numbers",
        columns=tuple(Column(title=title, numeric=i > 1) for i, title in enumerate(HEADS)),
        rows=tuple(_cells(cut) for cut in facts["cuts"]),
    )
    lead = (
        "One layer at a time lost its least columns or filters, everything else stayed as it was, and nothing was "
        "trained again. A layer with short bars on the left and long ones on the right is a good place to prune."
    )
    array = facts["array"]
    page = Page(
        title="Sensitivity of each layer",
        subtitle=f"exact cycles on an array of {array['rows']} x {array['cols']}",
        tiles=(Tile(label="cuts tried", value=str(len(facts["cuts"]))),),
        sections=(Section(id="sensitivity", title="Sensitivity", lead=lead, parts=(bars, table)),),
        footer="",
    )
    write_file(target, render(page))


def _bars(names: Sequence[str], values: Sequence[float], form: str) -> tuple[Bar, ...]:
    """What is less than nothing, such as accuracy that was gained, has a number and no bar."""
    most = max([*values, 1e-9])
    return tuple(
        Bar(label=name, value=form.format(value), picture=bar(max(0.0, value / most)))
        for name, value in zip(names, values, strict=True)
    )
