"""What an exploration looks through, what it wants, and who does the work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_doc import Doc
from annotated_types import Interval, Unit

from hwprm.config.kinds import AboveZero, Clock, NotNegative
from hwprm.config.section import Section
from hwprm.core.errors import ConfigError

__all__ = ["ExploreConfig"]


@dataclass(frozen=True, kw_only=True)
class ExploreConfig(Section, section="explore"):
    """A design-space exploration: dimensions, objectives, limits, effort.

    A dimension is written ``8,6,4`` (these), ``2..32`` (all whole numbers), ``2..32+2`` (steps of two), ``2..32*2``
    (each twice the one before) or, for a search, ``10..200`` where the option is no whole number.
    """

    space: Annotated[
        Path | None,
        Doc(
            "TOML file of dimensions, sections as in a file of options, with a range or a list for a value: rows = "
            '"2..32".'
        ),
    ] = None
    rows: Annotated[str | None, Doc("Dimension array.rows.")] = None
    cols: Annotated[str | None, Doc("Dimension array.cols.")] = None
    weight_bits: Annotated[str | None, Doc("Dimension quantize.weight_bits.")] = None
    act_bits: Annotated[str | None, Doc("Dimension quantize.act_bits.")] = None
    compression: Annotated[str | None, Doc("Dimension shrink.compression.")] = None
    count: Annotated[str | None, Doc("Dimension shrink.count.")] = None
    target: Annotated[
        str | None, Doc("Device whose resources are predicted, and which a point must fit; docs/silicon.md lists them.")
    ] = None
    clock: Annotated[Clock | None, Doc("Clock in MHz at which images per second are counted.")] = None
    objectives: Annotated[
        tuple[str, ...] | None,
        Doc(
            "What is to be best, all at once, such as accuracy,cycles,lut4; none takes what the space and options "
            "allow."
        ),
    ] = None
    max_cycles: Annotated[NotNegative | None, Doc("Most cycles of an image.")] = None
    min_images_per_second: Annotated[AboveZero | None, Doc("Fewest images per second at `clock`.")] = None
    max_lut: Annotated[NotNegative | None, Doc("Most LUTs (of four inputs) on `target`.")] = None
    max_ff: Annotated[NotNegative | None, Doc("Most flip-flops on `target`.")] = None
    max_dsp: Annotated[NotNegative | None, Doc("Most multipliers (DSP blocks) on `target`.")] = None
    max_bram: Annotated[NotNegative | None, Doc("Most block RAMs on `target`.")] = None
    max_onchip_bits: Annotated[NotNegative | None, Doc("Most bits of memory on the chip.")] = None
    min_accuracy: Annotated[
        Annotated[float, Interval(gt=0, le=100), Unit("per cent")] | None,
        Doc("Lowest accuracy, in per cent, of the integer network on held-out images."),
    ] = None
    points: Annotated[
        int, Interval(ge=1, le=100000), Doc("Points that a search (over more than the hardware) tries.")
    ] = 64
    proposals: Annotated[
        int,
        Interval(ge=1, le=1000),
        Doc(
            "Points that a search proposes at once; its course hangs on this number, not on how many workers there are."
        ),
    ] = 8
    patience: Annotated[
        int,
        Interval(ge=1, le=100000),
        Doc("A search ends when so many of these rounds in a row did not improve the front."),
    ] = 4
    rank_epochs: Annotated[
        int,
        Interval(ge=0, le=100000),
        Doc(
            "Epochs of fine-tuning by which a search ranks points; those of the front get all of finetune.epochs at "
            "the end."
        ),
    ] = 2
    seed: Annotated[int, Interval(ge=0, le=2**31 - 1), Doc("Seed of the search.")] = 0
    workers: Annotated[
        int, Interval(ge=0, le=1000), Doc("Worker processes; 0 computes in the command's own process.")
    ] = 0
    scheduler: Annotated[
        str | None, Doc("Address of a standing Dask scheduler, such as tcp://host:8786, whose workers are used.")
    ] = None
    all: Annotated[bool, Doc("Show dominated points too.")] = False
    build: Annotated[NotNegative | None, Doc("Number of a point of the study to build into --out.")] = None
    through: Annotated[
        Literal["verify", "synth", "pnr"],
        Doc(
            "How far it is built: verified in simulation, synthesised for `target`, or placed and routed there at "
            "`clock`."
        ),
    ] = "verify"

    def agree(self) -> None:
        if self.workers and self.scheduler:
            raise ConfigError(
                "explore.workers starts processes here, explore.scheduler uses those of a standing Dask; give one"
            )
