"""What an exploration looks through, what it wants, and who does the work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwprm.core.errors import ConfigError

__all__ = ["ExploreConfig"]

#: Most points of a search, most of one round of it, most worker processes, most megahertz.
POINTS_MAX, PROPOSALS_MAX, WORKERS_MAX, CLOCK_MAX = 100_000, 1000, 1000, 2000.0


@dataclass(frozen=True, kw_only=True)
class ExploreConfig:
    """A design-space exploration: dimensions, objectives, limits, effort.

    A dimension is written ``8,6,4`` (these), ``2..32`` (all whole numbers), ``2..32+2`` (steps of two), ``2..32*2``
    (each twice the one before) or, for a search, ``10..200`` where the option is no whole number.
    """

    #: TOML file of dimensions, sections as in a file of options, with a range or a list for a value: rows = "2..32".
    space: Path | None = None
    #: Dimension array.rows.
    rows: str | None = None
    #: Dimension array.cols.
    cols: str | None = None
    #: Dimension quantize.weight_bits.
    weight_bits: str | None = None
    #: Dimension quantize.act_bits.
    act_bits: str | None = None
    #: Dimension shrink.compression.
    compression: str | None = None
    #: Dimension shrink.count.
    count: str | None = None
    #: Device whose resources are predicted, and which a point must fit; docs/silicon.md lists them.
    target: str | None = None
    #: Clock in MHz at which images per second are counted.
    clock: float | None = None
    #: What is to be best, all at once, such as accuracy,cycles,lut4; none takes what the space and options allow.
    objectives: tuple[str, ...] | None = None
    #: Most cycles of an image.
    max_cycles: int | None = None
    #: Fewest images per second at `clock`.
    min_images_per_second: float | None = None
    #: Most LUTs (of four inputs) on `target`.
    max_lut: int | None = None
    #: Most flip-flops on `target`.
    max_ff: int | None = None
    #: Most multipliers (DSP blocks) on `target`.
    max_dsp: int | None = None
    #: Most block RAMs on `target`.
    max_bram: int | None = None
    #: Most bits of memory on the chip.
    max_onchip_bits: int | None = None
    #: Lowest accuracy, in per cent, of the integer network on held-out images.
    min_accuracy: float | None = None
    #: Points that a search (over more than the hardware) tries.
    points: int = 64
    #: Points that a search proposes at once; its course hangs on this number, not on how many workers there are.
    proposals: int = 8
    #: A search ends when so many of these rounds in a row did not improve the front.
    patience: int = 4
    #: Epochs of fine-tuning by which a search ranks points; those of the front get all of finetune.epochs at the end.
    rank_epochs: int = 2
    #: Seed of the search.
    seed: int = 0
    #: Worker processes; 0 computes in the command's own process.
    workers: int = 0
    #: Address of a standing Dask scheduler, such as tcp://host:8786, whose workers are used.
    scheduler: str | None = None
    #: Show dominated points too.
    all: bool = False
    #: Number of a point of the study to build into --out.
    build: int | None = None
    #: How far it is built: verified in simulation, synthesised for `target`, or placed and routed there.
    through: Literal["verify", "synth", "pnr"] = "verify"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("points", 1, POINTS_MAX),
            ("proposals", 1, PROPOSALS_MAX),
            ("patience", 1, POINTS_MAX),
            ("rank_epochs", 0, POINTS_MAX),
            ("seed", 0, 2**31 - 1),
            ("workers", 0, WORKERS_MAX),
        ):
            value = getattr(self, name)
            if not _whole(value) or not low <= value <= high:
                raise ConfigError(f"explore.{name} must be in {low}..{high}, not {value!r}")
        for name in ("max_cycles", "max_lut", "max_ff", "max_dsp", "max_bram", "max_onchip_bits", "build"):
            value = getattr(self, name)
            if value is not None and (not _whole(value) or value < 0):
                raise ConfigError(f"explore.{name} must be a whole number of 0 or more, not {value!r}")
        for name, top in (("clock", CLOCK_MAX), ("min_images_per_second", math.inf), ("min_accuracy", 100.0)):
            value = getattr(self, name)
            if value is not None and not 0 < value <= top:
                raise ConfigError(f"explore.{name} must be above 0 and at most {top:g}, not {value!r}")
        if self.workers and self.scheduler:
            raise ConfigError(
                "explore.workers starts processes here, explore.scheduler uses those of a standing Dask; give one"
            )


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
