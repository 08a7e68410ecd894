"""Where the cycles of each layer go, and so what keeps it from its bound."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields

from hwprm.compiler import ProgramRecord
from hwprm.compiler.layout.schedule import tiles_by_layer
from hwprm.reporting.curves.svg import stacked
from hwprm.reporting.page.parts import Bar, Bars, Column, Table

__all__ = ["Spent", "spent", "timeline"]


@dataclass(frozen=True, kw_only=True)
class Spent:
    """The cycles of one layer, in the order in which one could do without them: they add up to what is predicted."""

    #: Cycles that the multiplications would take if no multiplier ever idled: the bound, rounded up.
    ideal: int
    #: Issued besides: tiles that do not fill all rows and columns, guards, residuals, zeros in the lists.
    issue: int
    #: Nothing is issued, as drain and stores of a tile must be through before the next one ends.
    idle: int
    #: The filters of the last tile leave the array, one write a cycle.
    drain: int
    #: The pipeline is emptied and filled again: the next layer reads what this one stores.
    wait: int


#: What each part is called on the page; classes of its colours are the names of the fields.
WORDS = {
    "ideal": "multiplications, ideally",
    "issue": "issued besides: ragged tiles, guards, residuals",
    "idle": "idle: drain and stores are behind",
    "drain": "drain of the last tile",
    "wait": "wait: pipeline between two layers",
}


def spent(program: ProgramRecord) -> tuple[Spent, ...]:
    """Where the predicted cycles of each layer go, stalls of an external memory left out."""
    found = []
    for layer, tiles in zip(program.cycles.layers, tiles_by_layer(program.tiles), strict=True):
        last = tiles[-1]
        running = sum(tile.cycles for tile in tiles) - last.idle_last
        ideal = min(math.ceil(layer.bound), layer.busy)
        drain = min(last.filters * last.last_writes, layer.cycles - running)
        found.append(
            Spent(
                ideal=ideal,
                issue=layer.busy - ideal,
                idle=running - layer.busy,
                drain=drain,
                wait=layer.cycles - running - drain,
            )
        )
    return tuple(found)


def timeline(program: ProgramRecord) -> Iterator[Bars | Table]:
    """A bar and a row for each layer."""
    names, parts = [layer.name for layer in program.cycles.layers], spent(program)
    longest = max(layer.cycles for layer in program.cycles.layers)
    bars = tuple(_bars(names, parts, longest))
    yield Bars(charts=(("Where the cycles go", bars),), legend=tuple(WORDS.items()))
    rows = [(name, *(f"{value:,}" for value in astuple(part))) for name, part in zip(names, parts, strict=True)]
    sums = (sum(getattr(part, field.name) for part in parts) for field in fields(Spent))
    columns = (Column(title="Layer", numeric=False), *(Column(title=name.capitalize()) for name in WORDS))
    total = ("Batch" if program.hardware.batch > 1 else "Image", *(f"{value:,}" for value in sums))
    yield Table(caption="Where the cycles go", columns=columns, rows=(*rows, total), total=True, folded=True)


def _bars(names: Sequence[str], parts: Sequence[Spent], longest: int) -> Iterator[Bar]:
    for name, part in zip(names, parts, strict=True):
        cycles = sum(astuple(part))
        shares = {field.name: getattr(part, field.name) / longest for field in fields(part)}
        yield Bar(
            label=name,
            value=f"{cycles:,}",
            note=f"{100 * part.ideal / cycles:.0f} per cent ideal",
            picture=stacked(shares),
        )
