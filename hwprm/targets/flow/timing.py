"""What nextpnr's JSON report says of the clock: the frequency reached, and the slowest path in the design's words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hwprm.targets.flow.netlist import GLUE, block_of, plain_name

__all__ = ["Hop", "Timing", "read_report"]

#: What yosys and nextpnr put behind the name of the net that a cell was named after.
TAIL = re.compile(
    r"(_(TRELLIS_FF|TRELLIS_DPR16X4|LUT4|CCU2C|PFUMX|L6MUX21|MULT18X18D|SB_LUT4|SB_CARRY|SB_DFF\w*?|SB_MAC16)_"
    r"|\$(CCU2_|nextpnr_|tr_io|sb_io)).*"
)
#: The domain in which a path begins and ends that limits the clock.
CLOCK = "posedge "


@dataclass(frozen=True, kw_only=True)
class Hop:
    """A piece of the slowest path: all of it that lies in one signal of one block, in nanoseconds."""

    block: str
    signal: str
    logic_ns: float
    routing_ns: float

    @property
    def ns(self) -> float:
        """Both together."""
        return self.logic_ns + self.routing_ns


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The clock reached in MHz, the slowest path from register to register, and bels used by their names."""

    fmax_mhz: float
    path: tuple[Hop, ...]
    used: Mapping[str, int]


def read_report(report: Mapping[str, Any], blocks: Collection[str]) -> Timing:
    """The `Timing` in a report of nextpnr's ``--report`` of a design with these `blocks`.

    Raises ValueError when it tells of no clock.
    """
    if not report.get("fmax"):
        raise ValueError("the report tells of no clock")
    paths = [path for path in report["critical_paths"] if _clocked(path)]
    steps: list[dict[str, Any]] = max((path["path"] for path in paths), key=_delay, default=[])
    return Timing(
        fmax_mhz=round(min(clock["achieved"] for clock in report["fmax"].values()), 2),
        path=tuple(_merged(_hops(steps, blocks))),
        used={name: bel["used"] for name, bel in sorted(report["utilization"].items()) if bel["used"]},
    )


def _clocked(path: Mapping[str, Any]) -> bool:
    return bool(path["from"].startswith(CLOCK) and path["to"].startswith(CLOCK))


def _delay(steps: list[dict[str, Any]]) -> float:
    return float(sum(step["delay"] for step in steps))


def _hops(steps: list[dict[str, Any]], blocks: Collection[str]) -> Iterator[Hop]:
    """A hop for each step; what the tool made itself belongs where the step before was."""
    block, signal = GLUE, ""
    for step in steps:
        cell = step["to"]["cell"]
        if not cell.startswith("$"):
            block, signal = _words(cell, blocks)
        routing = step["type"] == "routing"
        delay = float(step["delay"])
        yield Hop(block=block, signal=signal, logic_ns=0 if routing else delay, routing_ns=delay if routing else 0)


def _words(cell: str, blocks: Collection[str]) -> tuple[str, str]:
    """Block and signal of a cell that yosys named after a net."""
    block, inside = block_of(cell, blocks), plain_name(TAIL.sub("", cell))
    return (GLUE, inside) if block is None else (block, inside.removeprefix(f"{block}.") or inside)


def _merged(hops: Iterator[Hop]) -> Iterator[Hop]:
    """Neighbours in one signal as one hop."""
    last: Hop | None = None
    for hop in hops:
        if last is not None and (hop.block, hop.signal) == (last.block, last.signal):
            last = Hop(
                block=hop.block,
                signal=hop.signal,
                logic_ns=last.logic_ns + hop.logic_ns,
                routing_ns=last.routing_ns + hop.routing_ns,
            )
            continue
        if last is not None:
            yield _rounded(last)
        last = hop
    if last is not None:
        yield _rounded(last)


def _rounded(hop: Hop) -> Hop:
    """Picoseconds are as fine as the tool's model is."""
    return Hop(block=hop.block, signal=hop.signal, logic_ns=round(hop.logic_ns, 3), routing_ns=round(hop.routing_ns, 3))
