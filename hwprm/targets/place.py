"""`place_and_route`: the clock that a synthesised bundle reaches, seed by seed, and its bitstream."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from hwprm.config.silicon import SiliconConfig
from hwprm.core.cache import keep, trim
from hwprm.core.errors import InputError, TimingError, ToolError, UnsupportedError
from hwprm.core.files import check_file, put_file, read_json
from hwprm.targets.catalogue import find_target
from hwprm.targets.flow.family import Placer
from hwprm.targets.flow.runs import Tell, run_tool
from hwprm.targets.flow.timing import Hop, Timing, read_report
from hwprm.targets.flow.tools import SiliconTool, find_tool
from hwprm.targets.synth import KIND, NETLIST, Around, Synthesis, cache_of, digest, synthesise

__all__ = ["BITSTREAM", "Placement", "SeedRun", "check_placer", "place_and_route"]

#: What a seed's entry of the cache holds besides the placed design and the log.
REPORT, SECONDS, BITSTREAM = "report.json", "cpu_seconds", "design.bit"


@dataclass(frozen=True, kw_only=True, eq=False)
class SeedRun:
    """One run of place and route; `folder` keeps the placed design and the log."""

    seed: int
    timing: Timing
    cpu_seconds: float
    folder: Path


@dataclass(frozen=True, kw_only=True, eq=False)
class Placement:
    """All seeds of a synthesised bundle. `clock` is what was asked for, in MHz, or None."""

    synthesis: Synthesis
    tool: SiliconTool
    seeds: tuple[SeedRun, ...]
    clock: float | None

    @property
    def fmax(self) -> float:
        """Median over the seeds, in MHz."""
        return median(run.timing.fmax_mhz for run in self.seeds)

    @property
    def best(self) -> SeedRun:
        """The fastest seed, the first of them: the bitstream and the path are its."""
        return max(self.seeds, key=lambda run: (run.timing.fmax_mhz, -run.seed))

    @property
    def slack_ns(self) -> float | None:
        """Nanoseconds between the period asked for and that of the fastest seed; None where no clock was asked for."""
        return None if self.clock is None else 1000 / self.clock - 1000 / self.best.timing.fmax_mhz

    @property
    def missed(self) -> TimingError | None:
        """What is wrong where no seed reaches the clock asked for, with the slowest path; None where one does."""
        if self.clock is None or self.best.timing.fmax_mhz >= self.clock:
            return None
        timing = self.best.timing
        count = f"{len(self.seeds)} seeds" if len(self.seeds) > 1 else "its one seed"
        return TimingError(
            f"{self.synthesis.target.device.name} runs at {timing.fmax_mhz:.1f} MHz, not {self.clock:g}: the best of "
            f"{count} misses the clock by {-(self.slack_ns or 0):.2f} ns; its slowest path is {_words(timing.path)}; "
            "ask for less, try more --seeds, or a smaller array"
        )


def check_placer(name: str, config: SiliconConfig) -> Placer:
    """How the target `name` is placed and routed.

    Raises ConfigError for an unknown target, UnsupportedError when it has no place and route, InputError when the
    bitstream could not be written or pin constraints cannot be read, ToolError when a tool is missing.
    """
    family = find_target(name).family
    if family.placer is None:
        raise UnsupportedError(f"{name} cannot be placed and routed here: {family.unplaced}")
    if config.bitstream:
        check_file(config.bitstream)
        find_tool(family.placer.packer)
    if config.pins and not config.pins.is_file():
        raise InputError(f"cannot read the pin constraints {config.pins}: no such file; check the path")
    find_tool(family.placer.tool)
    return family.placer


def place_and_route(folder: Path, config: SiliconConfig, tell: Tell, around: Around | None = None) -> Placement:
    """Place and route the bundle in `folder` with seeds 1 to ``config.seeds``; seeds that ran before are not run again.

    On a board, what is `around` it, the device and the pins are those of that, not of `config`.
    Writes the bitstream of the fastest seed to ``config.bitstream``, unless it misses ``config.clock``.
    `tell` hears how far it is. Raises what `check_placer` and `synthesise` raise, InputError when the device is too
    small, or has too few pins for a bitstream or constraints that are asked for, ToolError when a tool fails.
    """
    placer = check_placer(config.target, config)
    steps = len(placer.marks)
    total = (1 + config.seeds) * steps

    def during(begun: int) -> Tell:
        def told(stage: str, done: int, of: int) -> None:
            tell(stage, begun + done * steps // max(of, 1), total)

        return told

    synthesis = synthesise(folder, config, during(0), around)
    if synthesis.too_large:
        raise synthesis.too_large
    if synthesis.wrapped and (config.bitstream or config.pins):
        raise InputError(
            f"{config.target} has too few pins, so that the ports of {synthesis.bundle.folder.name} are behind shift "
            "registers, for figures alone; no bitstream of that is of use, and no pin constraint: take a larger device"
        )
    tool = find_tool(placer.tool)
    runs = []
    for seed in range(1, config.seeds + 1):
        tell(f"seed {seed}", seed * steps, total)
        runs.append(_run(synthesis, placer, tool, config, seed, during(seed * steps)))
    placement = Placement(synthesis=synthesis, tool=tool, seeds=tuple(runs), clock=config.clock)
    if config.bitstream and placement.missed is None:
        tell("bitstream", total - 1, total)
        _pack(placement, placer, config)
    trim(cache_of(config), int(config.cache_gb * 1e9))
    return placement


def _run(
    synthesis: Synthesis, placer: Placer, tool: SiliconTool, config: SiliconConfig, seed: int, tell: Tell
) -> SeedRun:
    """One seed, now or kept."""
    device = synthesis.target.device
    pins, text = _pins(config, synthesis.around)
    arguments = [
        *device.arguments,
        *placer.arguments_for(synthesis.used, device),
        *("--json", NETLIST, "--freq", f"{config.clock or device.goal:g}", "--seed", str(seed)),
        *("--timing-allow-fail", "--report", REPORT, placer.output, placer.placed),
        *((placer.pins, pins) if pins else ()),
    ]
    contents = [hashlib.sha256(text).hexdigest()] if pins else []
    key = digest([tool.label, synthesis.folder.name, *arguments, *contents])

    def make(work: Path) -> None:
        shutil.copyfile(synthesis.folder / NETLIST, work / NETLIST)
        if pins:
            (work / pins).write_bytes(text)
        ran = run_tool(tool, arguments, work, marks=placer.marks, tell=tell, seconds=config.timeout)
        _timing(tool, work, synthesis)
        (work / SECONDS).write_text(f"{ran.cpu_seconds}\n")
        (work / NETLIST).unlink()

    kept = keep(cache_of(config), KIND, f"place-{key}", make)
    seconds = float((kept / SECONDS).read_text())
    return SeedRun(seed=seed, timing=_timing(tool, kept, synthesis), cpu_seconds=seconds, folder=kept)


def _pins(config: SiliconConfig, around: Around | None) -> tuple[str, bytes]:
    """Name and contents of the file of pin constraints; no name where there is none."""
    if around:
        return f"pins{around.suffix}", around.pins.encode()
    return (f"pins{config.pins.suffix}", config.pins.read_bytes()) if config.pins else ("", b"")


def _timing(tool: SiliconTool, folder: Path, synthesis: Synthesis) -> Timing:
    try:
        return read_report(read_json(folder / REPORT), synthesis.counts.blocks)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ToolError(
            f"{tool.label} left no report that can be read in {folder} ({error}); delete that folder, or install the "
            "tool again"
        ) from error


def _pack(placement: Placement, placer: Placer, config: SiliconConfig) -> None:
    assert config.bitstream is not None
    packer = find_tool(placer.packer)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=cache_of(config) / KIND) as folder:
        work = Path(folder)
        shutil.copyfile(placement.best.folder / placer.placed, work / placer.placed)
        run_tool(packer, [placer.placed, BITSTREAM], work, marks=(), tell=lambda *_: None, seconds=config.timeout)
        put_file(work / BITSTREAM, config.bitstream)


def _words(path: Sequence[Hop]) -> str:
    """A path in one line: where it begins, the pieces that take longest, where it ends."""
    longest = sorted(path[1:-1], key=lambda hop: -hop.ns)[:3]
    shown = [hop for hop in path if hop in longest or hop in (path[0], path[-1])] if path else []
    return " -> ".join(f"{hop.block} {hop.signal} ({hop.ns:.1f} ns)" for hop in shown)
