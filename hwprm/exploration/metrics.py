"""What points are measured by: names, directions, limits, and which points no other one beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwprm.config import ExploreConfig
from hwprm.config.options import nearest
from hwprm.core.errors import ConfigError
from hwprm.core.pareto import pareto_front

__all__ = ["METRICS", "Goal", "Metric", "Values", "front_of", "limits_of", "objectives_of"]

#: Measured numbers of a point by the names of `METRICS`.
Values = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One measured number."""

    name: str
    #: As tables call it.
    title: str
    #: Whether more is better.
    more: bool = False
    #: What is needed to have it: ``accuracy`` (images with labels), ``target``, ``clock``, or nothing.
    needs: str = ""

    @property
    def sign(self) -> int:
        """What makes less of it better."""
        return -1 if self.more else 1


#: All of them, in the order of tables.
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(name="accuracy", title="accuracy, %", more=True, needs="accuracy"),
        Metric(name="cycles", title="cycles an image"),
        Metric(name="bound", title="bound, cycles"),
        Metric(name="utilisation", title="utilisation", more=True),
        Metric(name="images_per_second", title="images/s", more=True, needs="clock"),
        Metric(name="multipliers", title="multipliers"),
        Metric(name="onchip_bits", title="bits on the chip"),
        Metric(name="weights", title="weights"),
        Metric(name="lut4", title="LUT4", needs="target"),
        Metric(name="ff", title="FF", needs="target"),
        Metric(name="dsp", title="DSP", needs="target"),
        Metric(name="bram", title="block RAM", needs="target"),
    )
}
#: How an option of limits is called -> the metric, and whether it is the most of it.
LIMITS = {
    "max_cycles": ("cycles", True),
    "min_images_per_second": ("images_per_second", False),
    "max_lut": ("lut4", True),
    "max_ff": ("ff", True),
    "max_dsp": ("dsp", True),
    "max_bram": ("bram", True),
    "max_onchip_bits": ("onchip_bits", True),
    "min_accuracy": ("accuracy", False),
}
#: Objectives that are the same thing said twice.
SAME = ({"cycles", "images_per_second"},)
WORDS = {
    "accuracy": "images with labels; name a data set with --data",
    "target": "a device; name one with --target",
    "clock": "a clock; name one with --clock MHZ",
}


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A limit on a metric."""

    metric: str
    value: float
    #: Whether the value is the most, else the least.
    most: bool
    #: The option that set it.
    option: str

    def excess(self, values: Values) -> float:
        """By how much, as a share of the limit, the point fails it; 0 or less where it keeps it or is not measured."""
        if self.metric not in values:
            return 0.0
        over = values[self.metric] - self.value
        return (over if self.most else -over) / max(abs(self.value), 1e-9)


def objectives_of(config: ExploreConfig, available: Sequence[str], joint: bool) -> tuple[str, ...]:
    """The objectives of `config`, or those that such an exploration has; `available` are needs that are met.

    Raises ConfigError for an unknown one (with the nearest), one named twice, two that are the same, and one whose
    need is not met.
    """
    if config.objectives is None:
        area = ("lut4",) if "target" in available else ("multipliers", "onchip_bits")
        return ((("accuracy",) if joint or "accuracy" in available else ()) + ("cycles",)) + area
    for name in config.objectives:
        if name not in METRICS:
            raise ConfigError(f"explore.objectives: nothing measured is called {name!r}{nearest(name, METRICS)}")
        _need(name, available, "explore.objectives")
        if config.objectives.count(name) > 1:
            raise ConfigError(f"explore.objectives names {name} twice; name it once")
    for pair in SAME:
        if pair <= set(config.objectives):
            raise ConfigError(
                f"explore.objectives: {' and '.join(sorted(pair))} are one thing at a given clock; keep one of them"
            )
    return config.objectives


def limits_of(config: ExploreConfig, available: Sequence[str]) -> tuple[Goal, ...]:
    """The limits that `config` sets. Raises ConfigError for one that cannot be measured."""
    goals = []
    for option, (metric, most) in LIMITS.items():
        value = getattr(config, option)
        if value is not None:
            _need(metric, available, f"explore.{option}")
            goals.append(Goal(metric=metric, value=value, most=most, option=option))
    return tuple(goals)


def _need(name: str, available: Sequence[str], who: str) -> None:
    need = METRICS[name].needs
    if need and need not in available:
        raise ConfigError(f"{who}: {name} needs {WORDS[need]}")


def front_of(points: Sequence[Values], objectives: Sequence[str]) -> list[int]:
    """Indices, ascending, of the `points` that no other one dominates; of equal ones the first."""
    return pareto_front([tuple(METRICS[name].sign * values[name] for name in objectives) for values in points])
