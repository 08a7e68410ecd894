"""What to do when no point of a study fits its device, or none keeps its limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hwprm.config import Settings
from hwprm.core.errors import ConfigError
from hwprm.exploration.measure import UNFIT, measure
from hwprm.exploration.metrics import METRICS
from hwprm.exploration.study import Study
from hwprm.intnet import IntegerNetwork
from hwprm.targets.catalogue import TARGETS, find_target

__all__ = ["first_refusal", "larger_device", "nearest_point"]


def larger_device(net: IntegerNetwork, settings: Settings, refusals: Iterable[str]) -> str | None:
    """The smallest device of the target's family that holds the design of `settings`, the smallest of a study.

    As a sentence, with what was refused; None where not every refusal is the device's doing.
    """
    name = settings.explore.target
    if name is None or not all(why.startswith(UNFIT) for why in refusals):
        return None
    family = find_target(name).family
    size = f"{settings.array.rows} x {settings.array.cols}"
    for device in sorted(family.devices, key=lambda device: sum(device.available.values())):
        try:
            measure(net, replace(settings, explore=replace(settings.explore, target=device.name)))
        except ConfigError:
            continue
        if TARGETS[device.name].device != TARGETS[name].device:
            return f"no point fits {name}; the smallest of them, {size}, fits {device.name}"
    return f"no point fits {name}, and the smallest of them, {size}, fits no device of its family; take smaller arrays"


def nearest_point(study: Study) -> str | None:
    """Of a study without a front: which measured point breaks its limits least, and by how much; None without any.

    Where a search finished some, only finished ones count.
    """
    measured = [point for point in study.points if point.values]
    candidates = [point for point in measured if point.final] or measured
    if not candidates:
        return None
    nearest = min(candidates, key=lambda point: sum(max(0.0, goal.excess(point.values)) for goal in study.limits))
    told = ", ".join(
        f"{METRICS[goal.metric].title} {nearest.values[goal.metric]:,.10g}, {'at most' if goal.most else 'at least'} "
        f"{goal.value:,.10g} is wanted"
        for goal in study.broken(nearest)
    )
    return f"no point keeps every limit; number {nearest.number} comes nearest: {told}"


def first_refusal(study: Study) -> str:
    """Of a study that measured nothing: which point was refused first, and why."""
    point = next(point for point in study.points if point.refused)
    return f"every point was refused; number {point.number}: {point.refused}"
