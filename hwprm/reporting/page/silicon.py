"""The part of a page that tells what a bundle takes of each device, and how fast it runs there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hwprm.core.errors import InputError
from hwprm.core.files import read_json
from hwprm.core.formats import SILICON
from hwprm.reporting.curves.svg import bar
from hwprm.reporting.page.parts import Bar, Bars, Column, Dial, Section, Table

__all__ = ["read_silicon", "silicon_section"]

Facts = Mapping[str, Any]
#: File that `hwprm synth` and `hwprm pnr` leave in the folder that --out names.
RESULT = "silicon.json"
#: What the section shows of every result.
NEEDED = ("target", "part", "resources", "blocks", "wrapped", "cycles_per_image")
#: Clocks in MHz beside those reached, at which images per second are told.
CLOCKS = (25, 50, 100, 150, 200)


def read_silicon(folder: Path, design_hash: str) -> tuple[Facts, ...]:
    """Results of this design in the folders inside `folder`, by their names; those of another design are left out.

    Raises InputError when one cannot be read.
    """
    found = []
    for file in sorted(folder.glob(f"*/{RESULT}")):
        try:
            facts = read_json(file)
            if facts["format"] != SILICON:
                raise ValueError(f"its format is not {SILICON!r}")
            mine = facts["design_hash"] == design_hash
            _ = [facts[key] for key in NEEDED if mine]
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise InputError(f"{file} cannot be read ({error}); delete its folder, or make it again") from error
        if mine:
            found.append(facts)
    return tuple(found)


def silicon_section(results: Sequence[Facts]) -> Iterator[Section]:
    """Resources against each device's, blocks, images per second by clock, and each slowest path."""
    if not results:
        return
    charts = tuple((f"{facts['target']} ({facts['part']})", tuple(_bars(facts))) for facts in results)
    placed = [facts for facts in results if "fmax_mhz" in facts]
    parts: list[Bars | Dial | Table] = [Bars(charts=charts), *(_blocks(facts) for facts in results)]
    if placed:
        parts += [_dial(placed), _rates(placed), *(_path(facts) for facts in placed)]
    lead = "What the design takes of a device, as synthesis counts it"
    lead += ", and the clock that place and route reached; no board was at hand." if placed else "."
    yield Section(id="silicon", title="Silicon", lead=lead, parts=tuple(parts))


def _bars(facts: Facts) -> Iterator[Bar]:
    for key, resource in facts["resources"].items():
        used, most = resource["used"], resource["available"]
        if not most or (key == "io" and facts["wrapped"]):
            continue
        over = used > most
        yield Bar(
            label=resource["title"],
            value=f"{used:,} of {most:,}",
            note="too few" if over else f"{100 * used / most:.1f} per cent",
            picture=bar(min(used / most, 1.0), mark=1.0 if over else None),
        )


def _blocks(facts: Facts) -> Table:
    keys = [key for key, resource in facts["resources"].items() if key != "io" and resource["used"]]
    titles = [facts["resources"][key]["title"] for key in keys]
    rows = tuple((name, *(f"{used[key]:,}" for key in keys)) for name, used in facts["blocks"].items())
    columns = (Column(title="Block", numeric=False), *(Column(title=title) for title in titles))
    return Table(caption=f"Blocks on {facts['target']}", columns=columns, rows=rows, folded=True)


def _dial(results: Sequence[Facts]) -> Dial:
    clock = round(max(facts["fmax_mhz"] for facts in results))
    return Dial(cycles=results[0]["cycles_per_image"], clock=max(1, clock), most=max(CLOCKS[-1], 2 * clock))


def _rates(results: Sequence[Facts]) -> Table:
    """Images per second at the clocks reached and at others; cycles an image are the same at all of them."""
    cycles = results[0]["cycles_per_image"]
    reached = {facts["fmax_mhz"]: facts["target"] for facts in results}
    rows = tuple(
        (
            f"{clock:g}",
            f"{clock * 1e6 / cycles:,.0f}",
            f"reached by {reached[clock]}" if clock in reached else "",
        )
        for clock in sorted({*CLOCKS, *reached})
    )
    columns = (Column(title="Clock, MHz", numeric=False), Column(title="Images per second"))
    return Table(
        caption=f"Images per second: the clock by {_plain(cycles)} cycles",
        columns=(*columns, Column(title="", numeric=False)),
        rows=rows,
    )


def _plain(cycles: float) -> str:
    """Cycles of an image, which are no whole number where a batch is shared out."""
    return f"{cycles:,}" if cycles == int(cycles) else f"{cycles:,.1f}"


def _path(facts: Facts) -> Table:
    rows = tuple(
        (hop["block"], hop["signal"], f"{hop['logic_ns']:.2f}", f"{hop['routing_ns']:.2f}")
        for hop in facts["critical_path"]
    )
    columns = (
        *(Column(title=title, numeric=False) for title in ("Block", "Signal")),
        *(Column(title=title) for title in ("Logic, ns", "Routing, ns")),
    )
    return Table(caption=f"Slowest path on {facts['target']}", columns=columns, rows=rows, folded=True)
