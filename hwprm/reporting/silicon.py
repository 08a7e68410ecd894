"""What `hwprm synth` and `hwprm pnr` found as tables of at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

__all__ = ["silicon_tables", "size_table"]

Facts = Mapping[str, Any]
#: Columns of the table of blocks, at most; what a design has most of comes first in a family's resources.
COLUMNS = 6
#: Hops of the slowest path that are shown one by one.
HOPS = 12


def silicon_tables(facts: Facts) -> tuple[Table, ...]:
    """Resources against the device's, by block; clock and slowest path of place and route; and what a board makes."""
    made = [_resources(facts), _blocks(facts)]
    if "fmax_mhz" in facts:
        made += [_clock(facts), _path(facts["critical_path"])]
    if "board" in facts:
        made.append(_board(facts["board"]))
    return tuple(made)


def _resources(facts: Facts) -> Table:
    array = facts["array"]
    title = f"{facts['net']} on {array['rows']} x {array['cols']}: {facts['target']} ({facts['part']})"
    table = Table("resource", title=escape(title), title_justify="left")
    for name in ("used", "of", "per cent"):
        table.add_column(name, justify="right")
    for key, resource in facts["resources"].items():
        used, most = resource["used"], resource["available"]
        over = most is not None and used > most and not (key == "io" and facts["wrapped"])
        share = "-" if not most else f"{100 * used / most:.1f}"
        cells = (f"{used:,}", "-" if most is None else f"{most:,}", share)
        table.add_row(escape(resource["title"]), *(f"[red]{cell}[/]" if over else cell for cell in cells))
    if facts["wrapped"]:
        table.caption = "too few pins: ports behind shift registers, for figures only"
    return table


def size_table(facts: Facts) -> Table:
    """What `hwprm estimate --target` says a design takes of a device, and how fast it is there."""
    size = facts["size"]
    title = f"By the size model: {size['target']} ({size['part']})"
    table = Table("resource", title=escape(title), title_justify="left")
    for name in ("used", "of", "per cent"):
        table.add_column(name, justify="right")
    for resource in size["resources"].values():
        used, most = resource["used"], resource["available"]
        share = "-" if not most else f"{100 * used / most:.1f}"
        cells = (f"{used:,}", "-" if most is None else f"{most:,}", share)
        over = most is not None and used > most
        table.add_row(escape(resource["title"]), *(f"[red]{cell}[/]" if over else cell for cell in cells))
    if "clock_mhz" in size:
        table.add_row(f"images per second at {size['clock_mhz']:g} MHz", f"{size['images_per_second']:,.0f}", "", "")
    return table


def _blocks(facts: Facts) -> Table:
    keys = [key for key, resource in facts["resources"].items() if key != "io" and resource["used"]][:COLUMNS]
    table = Table("block", title="By block, flattened, by the names of the cells", title_justify="left")
    for key in keys:
        table.add_column(key, justify="right")
    for name, used in facts["blocks"].items():
        table.add_row(escape(name), *(f"{used[key]:,}" for key in keys))
    return table


def _clock(facts: Facts) -> Table:
    table = Table("what", "value", title="Place and route", title_justify="left")
    for name, value in _clock_rows(facts):
        table.add_row(name, escape(value))
    return table


def _clock_rows(facts: Facts) -> Iterator[tuple[str, str]]:
    seeds: Sequence[Facts] = facts["seeds"]
    each = ", ".join(f"{seed['fmax_mhz']:.1f}" for seed in seeds)
    yield "clock, MHz", f"{facts['fmax_mhz']:.1f}" + (f" (median of {each})" if len(seeds) > 1 else "")
    if facts["clock_mhz"] is not None:
        met = "met" if facts["clock_met"] else "MISSED"
        yield "clock asked for", f"{facts['clock_mhz']:g} MHz, {met}, slack {facts['slack_ns']:.2f} ns"
    cycles = facts["cycles_per_image"]
    digits = 0 if cycles == int(cycles) else 1
    stalls = "" if facts["stalls_counted"] else ", stalls of the external memory left out"
    yield "images per second", f"{facts['images_per_second']:,.0f} ({cycles:,.{digits}f} cycles{stalls})"
    yield "latency, microseconds", f"{facts['latency_us']:,.1f} (an image's beats, then its cycles)"
    yield "placed", ", ".join(f"{value:,} {key}" for key, value in facts["placed"].items())
    yield "CPU seconds", ", ".join(f"{seed['cpu_seconds']:.0f}" for seed in seeds)
    yield from (("tool", label) for label in facts["tools"].values())


def _board(board: Facts) -> Table:
    table = Table("what", "value", title=f"On the board: {escape(board['name'])}", title_justify="left")
    rates = board["images_per_second"]
    off = 100 * (board["baud_made"] / board["baud"] - 1)
    table.add_row("clock", escape(f"{board['clock_mhz']:g} MHz, {board['clocking']}"))
    table.add_row("line, bits a second", f"{board['baud']:,}" + (f", {off:+.2f} per cent" if round(off, 2) else ""))
    table.add_row("images a second", f"{rates['both']:,.1f}; array {rates['array']:,.1f}, wire {rates['wire']:,.1f}")
    table.add_row("pins", ", ".join(f"{port} {site}" for port, site in board["pins"].items()))
    table.add_row("note", escape(board["note"]))
    return table


def _path(path: Sequence[Facts]) -> Table:
    total = sum(hop["logic_ns"] + hop["routing_ns"] for hop in path)
    table = Table(
        "block", "signal", title=f"Slowest path, {total:.2f} ns from register to register", title_justify="left"
    )
    for name in ("logic, ns", "routing, ns"):
        table.add_column(name, justify="right")
    ranked = sorted(range(len(path)), key=lambda i: -(path[i]["logic_ns"] + path[i]["routing_ns"]))
    shown = {0, len(path) - 1, *ranked[:HOPS]}
    for i, hop in enumerate(path):
        if i in shown:
            table.add_row(
                escape(hop["block"]), escape(hop["signal"]), f"{hop['logic_ns']:.2f}", f"{hop['routing_ns']:.2f}"
            )
    if len(path) > len(shown):
        rest = [hop for i, hop in enumerate(path) if i not in shown]
        logic, routing = (sum(hop[key] for hop in rest) for key in ("logic_ns", "routing_ns"))
        table.add_row(f"{len(rest)} shorter pieces", "", f"{logic:.2f}", f"{routing:.2f}")
    return table
