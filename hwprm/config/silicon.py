"""Options of synthesis and of place and route."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwprm.core.errors import ConfigError

__all__ = ["SiliconConfig"]

#: Most seeds of place and route, most megahertz, most seconds of one tool, most gigabytes.
SEEDS_MAX, CLOCK_MAX, SECONDS_MAX, CACHE_MAX = 1000, 2000.0, 10_000_000, 1_000_000


@dataclass(frozen=True, kw_only=True)
class SiliconConfig:
    """What a bundle is synthesised for, and how its place and route is run."""

    #: Device, such as `ecp5-85k`, `ice40-up5k`, `xc7a100t`, or `generic` (gates); docs/silicon.md lists them.
    target: str = "ecp5-85k"
    #: Clock in MHz that place and route must reach: exit code 4 where it does not. Without one the device's usual goal
    #: is aimed at, and whatever comes is reported.
    clock: float | None = None
    #: Runs of place and route, with the seeds 1 to this number; the clock reported is their median.
    seeds: int = 1
    #: File of pin constraints (LPF for ECP5, PCF for iCE40); without it pins lie where the tool puts them.
    pins: Path | None = None
    #: Write the bitstream of the fastest seed to this file.
    bitstream: Path | None = None
    #: Write the bundle with its design in cells of the device into this new folder; `hwprm verify` simulates it as any
    #: other.
    netlist: Path | None = None
    #: Folder that keeps results of synthesis and of every seed; `~/.cache/hwprm` by default.
    work: Path | None = None
    #: Gigabytes of results and compiled simulations that the folder keeps; those used least recently go first.
    cache_gb: float = 2.0
    #: Seconds after which one run of a tool is given up.
    timeout: float = 7200.0

    def __post_init__(self) -> None:
        if self.clock is not None and not 0 < self.clock <= CLOCK_MAX:
            raise ConfigError(f"silicon.clock must be above 0 and at most {CLOCK_MAX:g} MHz, not {self.clock!r}")
        if not isinstance(self.seeds, int) or not 1 <= self.seeds <= SEEDS_MAX:
            raise ConfigError(f"silicon.seeds must be in 1..{SEEDS_MAX}, not {self.seeds!r}")
        if not 0 < self.timeout <= SECONDS_MAX:
            raise ConfigError(
                f"silicon.timeout must be above 0 and at most {SECONDS_MAX} seconds, not {self.timeout!r}"
            )
        if not 0 <= self.cache_gb <= CACHE_MAX:
            raise ConfigError(f"silicon.cache_gb must be in 0..{CACHE_MAX} gigabytes, not {self.cache_gb!r}")
