"""A network laid out for one array, before anything is encoded: geometry, memory plan, schedule, hardware, cycles."""

from __future__ import annotations

from dataclasses import dataclass

from hwprm.compiler.layout.geometry import LayerGeometry, layer_geometry
from hwprm.compiler.layout.hardware import derive_hardware
from hwprm.compiler.layout.memory import MemoryPlan, plan_memory
from hwprm.compiler.layout.schedule import Schedule, build_schedule
from hwprm.compiler.timing.cycles import CycleReport, count_cycles
from hwprm.config import ArrayConfig
from hwprm.intnet import IntegerNetwork
from hwprm.isa import Hardware

__all__ = ["Draft", "draft_network"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Draft:
    """Everything that the ROMs are made of. The hardware's design hash is still empty."""

    network: IntegerNetwork
    geometry: tuple[LayerGeometry, ...]
    plan: MemoryPlan
    schedule: Schedule
    hardware: Hardware
    cycles: CycleReport


def draft_network(net: IntegerNetwork, array: ArrayConfig) -> Draft:
    """Lay out `net`, filters in the order they have.

    Raises UnsupportedError for what this hardware cannot run, ConfigError when the array does not fit the network.
    """
    geometry = tuple(layer_geometry(net, i) for i in range(len(net.layers)))
    plan = plan_memory(net, geometry, array.rows)
    schedule = build_schedule(geometry, plan, array.rows, array.cols)
    hw = derive_hardware(net, array, geometry, plan, schedule)
    cycles = count_cycles(geometry, schedule.tiles, hw)
    return Draft(network=net, geometry=geometry, plan=plan, schedule=schedule, hardware=hw, cycles=cycles)
