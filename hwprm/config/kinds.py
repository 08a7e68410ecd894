"""Kinds of values that several sections share, each with its bounds."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval, Unit

__all__ = [
    "AboveZero",
    "Average",
    "Batch",
    "Bits",
    "Clock",
    "Gigabytes",
    "LearningRate",
    "MaybeRepeats",
    "NotNegative",
    "Optimiser",
    "Positive",
    "Recalibrate",
    "Repeats",
    "Schedule",
    "Seconds",
    "Seed",
    "Share",
    "Side",
    "Temperature",
    "Threads",
    "WeightDecay",
]

Positive = Annotated[int, Ge(1)]
NotNegative = Annotated[int, Ge(0)]
AboveZero = Annotated[float, Gt(0)]
Share = Annotated[float, Interval(ge=0, le=1)]

#: Rows or columns of the array.
Side = Annotated[int, Interval(ge=1, le=256)]
#: Bits of a weight or an activation.
Bits = Annotated[int, Interval(ge=2, le=16)]
#: Epochs, steps, multiples.
Repeats = Annotated[int, Interval(ge=1, le=10_000)]
MaybeRepeats = Annotated[int, Interval(ge=0, le=10_000)]
Seed = Annotated[int, Interval(ge=0, le=(1 << 63) - 1)]
Threads = Annotated[int, Interval(ge=1, le=1024)]
#: Megahertz, seconds that a process can be waited for, gigabytes of a cache.
Clock = Annotated[float, Interval(gt=0, le=2000), Unit("MHz")]
Seconds = Annotated[float, Interval(gt=0, le=10_000_000), Unit("seconds")]
Gigabytes = Annotated[float, Interval(ge=0, le=1_000_000), Unit("gigabytes")]

#: What training the dense network and fine-tuning the compact one have in common.
Batch = Annotated[int, Interval(ge=1, le=1 << 20)]
LearningRate = Annotated[float, Interval(ge=1e-12, le=1e3)]
WeightDecay = Annotated[float, Interval(ge=0, le=1e3)]
Temperature = Annotated[float, Interval(ge=1e-3, le=1e3)]
Average = Annotated[float, Interval(ge=0, le=0.999999)]
Recalibrate = Annotated[int, Interval(ge=0, le=1 << 40)]
Optimiser = Literal["adamw", "sgd"]
Schedule = Literal["cosine", "constant", "step"]
