"""`build_board`: a bundle on a serial line as the bitstream of a board, with the clock that its line was made for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from hwprm.bundle import Bundle
from hwprm.config.emit import BAUD_ERROR, EmitConfig
from hwprm.config.silicon import SiliconConfig
from hwprm.core.errors import ConfigError, TimingError
from hwprm.targets.boards.catalogue import Board, find_board
from hwprm.targets.boards.site import Site, read_site
from hwprm.targets.boards.top import TOP, board_verilog
from hwprm.targets.catalogue import Target, find_target
from hwprm.targets.flow.carrier import Carrier, Clocking, best_clocking, nearest_clocks
from hwprm.targets.flow.runs import Tell
from hwprm.targets.place import BITSTREAM, Placement, place_and_route
from hwprm.targets.results import placement_facts, write_result
from hwprm.targets.synth import Around

__all__ = ["OnBoard", "Plan", "build_board", "plan_board", "write_board"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """How a bundle is put on a board, before any tool runs."""

    bundle: Bundle
    board: Board
    site: Site
    clocking: Clocking
    around: Around

    @property
    def baud(self) -> float:
        """Bits a second that this clock makes of the design's divider."""
        return float(self.clocking.mhz * 10**6 / self.bundle.manifest.way.divider)

    @property
    def rates(self) -> dict[str, float]:
        """Images a second: of the array, over the wire, and through both."""
        manifest, hertz = self.bundle.manifest, float(self.clocking.mhz * 10**6)
        cycles = {"array": manifest.cycles.image, "wire": max(manifest.host_cycles), "both": manifest.pace}
        return {name: round(hertz / each, 2) for name, each in cycles.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class OnBoard:
    """A bundle placed on a board."""

    plan: Plan
    placement: Placement

    @property
    def missed(self) -> TimingError | None:
        """What is wrong where the design does not reach the board's clock, and which it would; None where it does."""
        missed = self.placement.missed
        if missed is None:
            return None
        reached = Fraction(self.placement.best.timing.fmax_mhz)
        line = self.plan.bundle.manifest.way
        ways = [way for way in _ways(self.plan.site, self.plan.around.target) if way.mhz <= reached]
        fits = [way.mhz for way in ways if line.baud and _serves(way.mhz, line.baud)]
        mend = f"; compile it again with --emit-clock {float(max(fits)):g}, which it reaches" if fits else ""
        return TimingError(f"{self.plan.board.name}: {missed}{mend}")

    @property
    def facts(self) -> dict[str, Any]:
        """`placement_facts`, and under ``board`` what the board makes of it."""
        plan = self.plan
        line = plan.bundle.manifest.way
        return placement_facts(self.placement) | {
            "board": {
                "name": plan.board.name,
                "clock_mhz": float(plan.clocking.mhz),
                "clocking": plan.clocking.words,
                "baud": line.baud,
                "baud_made": round(plan.baud, 1),
                "images_per_second": plan.rates,
                "pins": {port: pin.site for port, pin in plan.site.pins.items()},
                "note": plan.board.note,
                "load": plan.board.load,
            }
        }


def plan_board(folder: Path, name: str | None) -> Plan:
    """How the bundle in `folder` is put on the board `name`.

    Raises ConfigError for an unknown board, a bundle that has no serial line, and a clock that the board cannot make;
    BundleError when the bundle is incomplete or edited, ToolError when amaranth-boards is missing.
    """
    board = find_board(name)
    bundle = Bundle.load(folder)
    found = find_target(board.target)
    site = read_site(board)
    clock, baud = _line(bundle, board, site)
    carrier = _carrier(found)
    target = replace(found, device=carrier.device(found.device, site.package, site.speed))
    clocking = best_clocking(_ways(site, target), clock)
    if clocking is None or not _near(clocking.mhz, bundle.manifest.way.divider, baud):
        raise _unreachable(board, site, target, clock, baud)
    net, array = bundle.manifest.net, bundle.manifest.array
    head = f"{board.name}: {net} on {array.rows} x {array.cols}, design {bundle.manifest.design_hash}"
    pins = carrier.constraints(list(site.pins.values()), site.mhz)
    verilog = board_verilog(site, clocking, head)
    around = Around(target=target, top=TOP, verilog=verilog, pins=pins, suffix=carrier.suffix)
    return Plan(bundle=bundle, board=board, site=site, clocking=clocking, around=around)


def build_board(folder: Path, name: str | None, config: SiliconConfig, tell: Tell) -> OnBoard:
    """Synthesise, place and route the bundle in `folder` on the board `name`, and write ``config.bitstream``.

    There is no bitstream where the clock is missed, which is in the result. ``config.target``, ``clock`` and ``pins``
    are the board's own. Raises what `plan_board` and `hwprm.targets.place_and_route` raise.
    """
    plan = plan_board(folder, name)
    own = replace(config, target=plan.board.target, clock=float(plan.clocking.mhz), pins=None)
    return OnBoard(plan=plan, placement=place_and_route(folder, own, tell, plan.around))


def write_board(found: OnBoard, facts: dict[str, Any], out: Path, bitstream: Path | None = None) -> None:
    """Write the new folder `out`: the top, the pins, the `bitstream` where there is one, and what `write_result` does.

    Raises InputError when `out` is not empty or cannot be made.
    """
    around = found.plan.around
    more = {f"{around.top}.v": around.verilog.encode(), f"pins{around.suffix}": around.pins.encode()}
    if bitstream:
        more[BITSTREAM] = bitstream.read_bytes()
    write_result(facts, found.placement.synthesis, found.placement, out, more)


def _line(bundle: Bundle, board: Board, site: Site) -> tuple[Fraction, int]:
    """Clock in MHz and bits a second that the serial line of `bundle` was made for."""
    manifest, own = bundle.manifest, f"--emit-clock {float(site.mhz):g} --emit-baud 1000000"
    if manifest.external is not None:
        raise ConfigError(
            f"{bundle.folder} reads its weights from an external memory, which no board here has on its bus; compile "
            f"its network with --weights rom --emit-host uart {own}"
        )
    if manifest.serial is None:
        raise ConfigError(
            f"{bundle.folder} talks by {manifest.host}, and {board.name} has a serial line; compile its network again "
            f"with --emit-host uart {own} (the board's own clock; docs/hosts.md)"
        )
    line = manifest.serial
    if line.clock is None or line.baud is None:
        raise ConfigError(
            f"{bundle.folder} does not keep the clock that its serial line was made for; compile its network again"
        )
    return Fraction(line.clock).limit_denominator(10**6), line.baud


def _carrier(target: Target) -> Carrier:
    assert target.family.carrier is not None, "every board's family has one"
    return target.family.carrier


def _ways(site: Site, target: Target) -> list[Clocking]:
    return list(_carrier(target).clockings(site.mhz, site.pins["clk_pin"].site))


def _near(mhz: Fraction, divider: int, baud: int) -> bool:
    return abs(float(mhz) * 1e6 / divider / baud - 1) <= BAUD_ERROR


def _serves(mhz: Fraction, baud: int) -> bool:
    """Whether a design may be compiled for this clock and rate."""
    try:
        EmitConfig(host="uart", clock=float(mhz), baud=baud)
    except ConfigError:
        return False
    return True


def _unreachable(board: Board, site: Site, target: Target, clock: Fraction, baud: int) -> ConfigError:
    ways = _ways(site, target)
    fits = [way for way in ways if _serves(way.mhz, baud)]
    near = " or ".join(f"--emit-clock {float(mhz):g}" for mhz in nearest_clocks(fits or ways, clock))
    lower = "" if fits else ", with a lower --emit-baud"
    return ConfigError(
        f"{board.name} cannot make a clock of {float(clock):g} MHz of its {float(site.mhz):g} MHz, nor one below it "
        f"that keeps {baud} baud within {100 * BAUD_ERROR:g} per cent; compile the network again with {near}{lower}"
    )
