"""Options of verification."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwprm.core.errors import ConfigError

__all__ = ["VerifyConfig"]

#: Images of each mode where nothing is said.
BULK_IMAGES, PROTOCOL_IMAGES, LAYER_IMAGES = 100, 2, 1
#: Most images, and most seconds that a process can be waited for.
COUNT_MAX, SECONDS_MAX = 1_000_000, 10_000_000


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """What is simulated, with what, and for how long."""

    #: Simulator; `both` also demands that their outputs and cycle counts are equal.
    sim: Literal["verilator", "icarus", "both"] = "verilator"
    #: Images of the bulk mode, or of the only mode that runs: 100 in bulk mode by default (under Icarus alone
    #: `icarus_images`); where the bundle stores fewer, seeded random ones are added.
    images: int | None = None
    #: Most images of the bulk mode under Icarus, some thirty times slower, where `images` does not speak of it alone.
    icarus_images: int = 2
    #: Images of each test of the protocol mode; 2 by default, or `images` where no other mode runs.
    protocol_images: int | None = None
    #: What runs: `protocol` (AXI traffic, every layer compared), `bulk` (many images at full speed) and `layers` (each
    #: layer alone, in parallel processes, to be resumed when interrupted).
    modes: tuple[Literal["protocol", "bulk", "layers"], ...] = ("protocol", "bulk")
    #: Images of the bulk mode of which every layer is compared, not the outputs alone.
    trace_images: int = 0
    #: Layers that the mode `layers` runs; all when empty.
    layers: tuple[str, ...] = ()
    #: Images of the mode `layers`; 1 by default, or `images` where no other mode runs.
    layer_images: int | None = None
    #: Simulators that the mode `layers` runs at a time; one per core by default.
    jobs: int | None = None
    #: Go on where an interrupted run of the mode `layers` on the same bundle stopped.
    resume: bool = True
    #: Seed of gaps, back-pressure, random images and initial memory contents.
    seed: int = 1
    #: Record a waveform of these clock cycles, `FROM:TO`; nothing is recorded without it.
    wave: str | None = None
    #: Where the waveform goes; the current folder by default.
    wave_dir: Path | None = None
    #: Simulate a bundle whose files were edited.
    allow_edited: bool = False
    #: Folder that keeps compiled simulations; `~/.cache/hwprm` by default.
    work: Path | None = None
    #: Gigabytes of compiled simulations that the folder keeps; those used least recently go first.
    cache_gb: float = 2.0
    #: Compile for speed with Verilator; without it a small design is through sooner, and a large one much later.
    optimise: bool = True
    #: Seconds after which one simulator run is given up.
    timeout: float = 3600.0

    def __post_init__(self) -> None:
        for name in ("images", "icarus_images", "protocol_images", "trace_images", "layer_images", "jobs"):
            value, least = getattr(self, name), 0 if name == "trace_images" else 1
            if name in ("images", "protocol_images", "layer_images", "jobs") and value is None:
                continue
            if not isinstance(value, int) or value < least:
                raise ConfigError(f"verify.{name} must be {least} or more, not {value!r}")
            if value > COUNT_MAX:
                raise ConfigError(f"verify.{name} must be {COUNT_MAX} or less, not {value!r}")
        if self.sim not in ("verilator", "icarus", "both"):
            raise ConfigError(f"verify.sim must be verilator, icarus or both, not {self.sim!r}")
        if not self.modes or any(mode not in ("protocol", "bulk", "layers") for mode in self.modes):
            raise ConfigError(f"verify.modes must be some of protocol, bulk and layers, not {self.modes!r}")
        if not 0 <= self.seed < 1 << 31:
            raise ConfigError(f"verify.seed must be in 0..{(1 << 31) - 1}, not {self.seed!r}")
        if not self.timeout > 0:
            raise ConfigError(f"verify.timeout must be more than 0 seconds, not {self.timeout!r}")
        if self.timeout > SECONDS_MAX:
            raise ConfigError(f"verify.timeout must be {SECONDS_MAX} seconds or less, not {self.timeout!r}")
        if not 0 <= self.cache_gb <= COUNT_MAX:
            raise ConfigError(f"verify.cache_gb must be in 0..{COUNT_MAX} gigabytes, not {self.cache_gb!r}")
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
