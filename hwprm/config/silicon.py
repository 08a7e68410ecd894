"""Options of synthesis and of place and route."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_doc import Doc
from annotated_types import Interval

from hwprm.config.kinds import Clock, Gigabytes, Seconds
from hwprm.config.section import Section

__all__ = ["SiliconConfig"]


@dataclass(frozen=True, kw_only=True)
class SiliconConfig(Section, section="silicon"):
    """What a bundle is synthesised for, and how its place and route is run."""

    target: Annotated[
        str,
        Doc("Device, such as `ecp5-85k`, `ice40-up5k`, `xc7a100t`, or `generic` (gates); docs/silicon.md lists them."),
    ] = "ecp5-85k"
    clock: Annotated[
        Clock | None,
        Doc(
            "Clock in MHz that place and route must reach: exit code 4 where it does not. Without one the device's "
            "usual goal is aimed at, and whatever comes is reported."
        ),
    ] = None
    seeds: Annotated[
        int,
        Interval(ge=1, le=1000),
        Doc("Runs of place and route, with the seeds 1 to this number; the clock reported is their median."),
    ] = 1
    pins: Annotated[
        Path | None,
        Doc("File of pin constraints (LPF for ECP5, PCF for iCE40); without it pins lie where the tool puts them."),
    ] = None
    bitstream: Annotated[Path | None, Doc("Write the bitstream of the fastest seed to this file.")] = None
    netlist: Annotated[
        Path | None,
        Doc(
            "Write the bundle with its design in cells of the device into this new folder; `hwprm verify` simulates "
            "it as any other."
        ),
    ] = None
    work: Annotated[
        Path | None, Doc("Folder that keeps results of synthesis and of every seed; `~/.cache/hwprm` by default.")
    ] = None
    cache_gb: Annotated[
        Gigabytes,
        Doc("Gigabytes of results and compiled simulations that the folder keeps; those used least recently go first."),
    ] = 2.0
    timeout: Annotated[Seconds, Doc("Seconds after which one run of a tool is given up.")] = 7200.0
