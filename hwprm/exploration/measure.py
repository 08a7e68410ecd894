"""One point, measured: exact cycles, memory, and what the device would hold, without emitting or simulating."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hwprm.compiler import Outline, Program, draft, outline
from hwprm.config import Settings
from hwprm.config.emit import TARGETS
from hwprm.core.errors import ConfigError, ModelError, UnsupportedError
from hwprm.emission import host_of
from hwprm.exploration.metrics import METRICS
from hwprm.intnet import IntegerNetwork
from hwprm.targets.catalogue import find_target
from hwprm.targets.model import predict
from hwprm.targets.sizes.design import Design

#: How a refusal begins that is the device's doing.
UNFIT = "does not fit"
#: What Verilog is written in for a family without cells of its own.
ANY = TARGETS[0]

__all__ = ["UNFIT", "Measured", "measure", "measure_all"]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a point came to: its `values` by the names of `hwprm.exploration.metrics.METRICS`, or why there are none."""

    values: dict[str, float] = field(default_factory=dict)
    refused: str = ""


def measure_all(net: IntegerNetwork, points: Sequence[Settings]) -> list[Measured]:
    """`measure` of one network with the settings of several points; one that no array of that kind can run is refused.

    What the points have in common is computed once: `net` keeps it (`hwprm.core.memo`).
    """
    return list(_each(net, points))


def _each(net: IntegerNetwork, points: Sequence[Settings]) -> Iterator[Measured]:
    for settings in points:
        try:
            yield Measured(values=measure(net, settings))
        except (ConfigError, UnsupportedError, ModelError) as error:
            yield Measured(refused=str(error))


def measure(net: IntegerNetwork, settings: Settings) -> dict[str, float]:
    """The values of one point: cycles an image with the stalls for external memory, memory, multipliers, images/s.

    Of a batch it is the share of an image. With ``explore.target`` come the resources that the size model predicts.
    Raises ConfigError when the array cannot hold the network or the device not the design, UnsupportedError when no
    array can.
    """
    array, explore = settings.array, settings.explore
    program: Outline | Program
    if explore.target is None:
        program = outline(net, array, settings.memory)
        report = program.cycles
    else:  # what a device holds of tables hangs on their contents
        program = draft(net, array)
        report = replace(program.cycles, stalls=program.stalls(settings.memory))
    whole = report.total + sum(report.stalls)
    cycles = whole / report.batch
    values = {
        "cycles": int(cycles) if cycles == int(cycles) else cycles,
        "bound": round(report.bound / report.batch, 1),
        "utilisation": round(sum(layer.macs for layer in report.layers) / (array.rows * array.cols * whole), 6),
        "multipliers": array.rows * array.cols,
        "onchip_bits": sum(program.onchip.values()),
        "weights": sum(int(np.count_nonzero(term.weight)) for layer in net.layers for term in layer.terms),
    }
    if explore.clock is not None:
        values["images_per_second"] = round(explore.clock * 1e6 / cycles, 1)
    if isinstance(program, Program):
        values |= _resources(program, settings)
    return values


def _resources(program: Program, settings: Settings) -> dict[str, float]:
    """What the size model says that the device asked for holds of it. Raises ConfigError where it has not so much."""
    name = str(settings.explore.target)
    family = find_target(name).family.name
    cells = family if family in TARGETS else ANY
    found = predict(Design.of(program.hardware, program.roms, cells, host_of(settings.emit)), name)
    if over := found.over:
        numbers = ", ".join(f"{need:,} {found.titles[key]} of {most:,}" for key, (need, most) in over.items())
        raise ConfigError(f"{UNFIT} {name}: needs {numbers}")
    return {key: float(count) for key, count in found.used.items() if key in METRICS}
