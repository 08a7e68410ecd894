"""Options of verification."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_doc import Doc
from annotated_types import Interval, Len

from hwprm.config.kinds import Gigabytes, Seconds
from hwprm.config.section import Section
from hwprm.core.errors import ConfigError

__all__ = ["VerifyConfig"]

#: Images of each mode where nothing is said.
BULK_IMAGES, PROTOCOL_IMAGES, LAYER_IMAGES = 100, 2, 1

Images = Annotated[int, Interval(ge=1, le=1_000_000)]


@dataclass(frozen=True, kw_only=True)
class VerifyConfig(Section, section="verify"):
    """What is simulated, with what, and for how long."""

    sim: Annotated[
        Literal["verilator", "icarus", "both"],
        Doc("Simulator; `both` also demands that their outputs and cycle counts are equal."),
    ] = "verilator"
    images: Annotated[
        Images | None,
        Doc(
            "Images of the bulk mode, or of the only mode that runs: 100 in bulk mode by default (under Icarus alone "
            "`icarus_images`); where the bundle stores fewer, seeded random ones are added."
        ),
    ] = None
    search: Annotated[
        bool,
        Doc(
            "Begin with the images, stored and made, that reach most of what every layer can do: clamps, ends of "
            "ranges, pool decisions, codes of tables. Without it stored images come as they are, and extreme ones "
            "before random ones."
        ),
    ] = True
    icarus_images: Annotated[
        Images,
        Doc(
            "Most images of the bulk mode under Icarus, some thirty times slower, where `images` does not speak of it "
            "alone."
        ),
    ] = 2
    protocol_images: Annotated[
        Images | None,
        Doc("Images of each test of the protocol mode; 2 by default, or `images` where no other mode runs."),
    ] = None
    modes: Annotated[
        tuple[Literal["protocol", "bulk", "layers"], ...],
        Len(1),
        Doc(
            "What runs: `protocol` (AXI traffic, every layer compared), `bulk` (many images at full speed) and "
            "`layers` (each layer alone, in parallel processes, to be resumed when interrupted)."
        ),
    ] = ("protocol", "bulk")
    trace_images: Annotated[
        int,
        Interval(ge=0, le=1000000),
        Doc("Images of the bulk mode of which every layer is compared, not the outputs alone."),
    ] = 0
    layers: Annotated[tuple[str, ...], Doc("Layers that the mode `layers` runs; all when empty.")] = ()
    layer_images: Annotated[
        Images | None, Doc("Images of the mode `layers`; 1 by default, or `images` where no other mode runs.")
    ] = None
    jobs: Annotated[
        Annotated[int, Interval(ge=1, le=1000000)] | None,
        Doc("Simulators that the mode `layers` runs at a time; one per core by default."),
    ] = None
    resume: Annotated[bool, Doc("Go on where an interrupted run of the mode `layers` on the same bundle stopped.")] = (
        True
    )
    seed: Annotated[
        int,
        Interval(ge=0, le=2**31 - 1),
        Doc("Seed of gaps, back-pressure, random images and initial memory contents."),
    ] = 1
    wave: Annotated[
        str | None, Doc("Record a waveform of these clock cycles, `FROM:TO`; nothing is recorded without it.")
    ] = None
    wave_dir: Annotated[Path | None, Doc("Where the waveform goes; the current folder by default.")] = None
    allow_edited: Annotated[bool, Doc("Simulate a bundle whose files were edited.")] = False
    work: Annotated[Path | None, Doc("Folder that keeps compiled simulations; `~/.cache/hwprm` by default.")] = None
    cache_gb: Annotated[
        Gigabytes, Doc("Gigabytes of compiled simulations that the folder keeps; those used least recently go first.")
    ] = 2.0
    optimise: Annotated[
        bool,
        Doc(
            "Compile for speed with Verilator; without it a small design is through sooner, and a large one much later."
        ),
    ] = True
    timeout: Annotated[Seconds, Doc("Seconds after which one simulator run is given up.")] = 3600.0

    def agree(self) -> None:
        _ = self.wave_window

    def bulk_images(self, simulator: str) -> int:
        """Images of the bulk mode under `simulator`, verilator or icarus."""
        if simulator != "icarus":
            return self.images or BULK_IMAGES
        if self.sim == "both":
            return min(self.images or BULK_IMAGES, self.icarus_images)
        return self.images or self.icarus_images

    @property
    def protocol_count(self) -> int:
        """Images of each test of the protocol mode."""
        return self.protocol_images or (self.images if self.modes == ("protocol",) else None) or PROTOCOL_IMAGES

    @property
    def layer_count(self) -> int:
        """Images of the mode `layers`."""
        return self.layer_images or (self.images if self.modes == ("layers",) else None) or LAYER_IMAGES

    @property
    def job_count(self) -> int:
        """Simulators that the mode `layers` runs at a time."""
        return self.jobs or len(os.sched_getaffinity(0))

    @property
    def build(self) -> dict[str, bool]:
        """What the compiled simulation is to be able to do: words of `hwprm.verification.simulators.builds.build`."""
        return {"wave": self.wave is not None, "optimise": self.optimise}

    @property
    def wave_window(self) -> tuple[int, int] | None:
        """First and last clock cycle of the waveform, or None."""
        if self.wave is None:
            return None
        first, colon, last = self.wave.partition(":")
        if not (colon and first.isdecimal() and last.isdecimal() and int(first) < int(last) < 1 << 31):
            raise ConfigError(f"verify.wave must be FROM:TO in clock cycles, such as 0:20000, not {self.wave!r}")
        return int(first), int(last)

    @property
    def simulators(self) -> tuple[str, ...]:
        """Names of the simulators to run, in order."""
        return ("verilator", "icarus") if self.sim == "both" else (self.sim,)
