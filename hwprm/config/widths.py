"""Global widths: how much of which cost may stay, and how the channels' importance is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_doc import Doc
from annotated_types import Ge, Interval

from hwprm.config.kinds import Positive, Repeats, Seed, Threads
from hwprm.config.section import Section

__all__ = ["WidthsConfig"]


@dataclass(frozen=True, kw_only=True)
class WidthsConfig(Section, section="widths"):
    """How many channels each layer keeps under one cost for the whole network; docs/widths.md explains the method."""

    cost: Annotated[
        Literal["macs", "weights", "cycles"],
        Doc(
            "What is counted: macs (multiplications per image), weights, or cycles (the exact cycles per image of the "
            "array)."
        ),
    ] = "macs"
    keep: Annotated[
        float, Interval(gt=0, le=1), Doc("Share of the network's cost that may stay; read only where `budget` is None.")
    ] = 0.5
    budget: Annotated[Positive | None, Doc("Cost that may stay, in the units of `cost`.")] = None
    round_to: Annotated[
        Repeats,
        Doc(
            "Channels of every layer in multiples of this (the nearest, one at least, never above the layer), so that "
            "filters fill whole tiles of the array."
        ),
    ] = 1
    images: Annotated[
        int,
        Ge(2),
        Doc(
            "Training images that the statistics of the channels are taken on, and of batch norms after a cut; 2 or "
            "more."
        ),
    ] = 512
    steps: Annotated[
        int,
        Interval(ge=0, le=1000000),
        Doc("Steps of the optimisation of the gates; 0 leaves them at 1, and the variances alone decide."),
    ] = 300
    batch: Annotated[int, Interval(ge=2, le=1 << 20), Doc("Images of one step; 2 or more.")] = 64
    lr: Annotated[float, Interval(gt=0, le=1e3), Doc("Learning rate of the gates.")] = 0.1
    strength: Annotated[
        Annotated[float, Ge(0)] | None,
        Doc(
            "Weight lambda of the gates' cost in the loss; None finds one at each step, so that the gates end near "
            "the budget."
        ),
    ] = None
    cut: Annotated[bool, Doc("Narrow the model right away as well, for `hwprm train` to go on with.")] = False
    seed: Annotated[Seed, Doc("Seed of the choice of images.")] = 0
    threads: Annotated[Threads, Doc("CPU threads; results are reproducible bit for bit at the same number.")] = 1
