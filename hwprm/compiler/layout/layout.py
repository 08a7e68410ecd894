"""How a network lies on one array, before anything is encoded: geometry, memory map, schedule, hardware."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hwprm.compiler.layout.geometry import LayerGeometry
from hwprm.compiler.layout.hardware import hardware_for
from hwprm.compiler.layout.memory import MemoryMap, map_memory
from hwprm.compiler.layout.schedule import Cuts, Schedule, build_schedule
from hwprm.config import ArrayConfig
from hwprm.intnet import IntegerNetwork
from hwprm.isa import Hardware

__all__ = ["Layout", "lay_out"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Everything that the ROMs are made of. The hardware's design hash is still empty."""

    network: IntegerNetwork
    geometry: tuple[LayerGeometry, ...]
    memory_map: MemoryMap
    schedule: Schedule
    hardware: Hardware


def lay_out(net: IntegerNetwork, array: ArrayConfig, phases: Sequence[int] = (), cuts: Cuts | None = None) -> Layout:
    """Lay out `net`, filters in the order they have, with that many `phases` in each of its layers, if given.

    `cuts` are those that were made for the same network before.

    Raises UnsupportedError for what this hardware cannot run, ConfigError when the array does not fit the network.
    """
    chosen = phases or [1] * len(net.layers)
    cuts = cuts or Cuts(array)
    geometry = tuple(cuts.geometry(net, i, count) for i, count in enumerate(chosen))
    memory_map = map_memory(net, geometry, array.rows)
    geometry = tuple(replace(geo, apart=True) if geo.layer.name in memory_map.apart else geo for geo in geometry)
    schedule = build_schedule(geometry, memory_map, array, cuts)
    hw = hardware_for(net, array, geometry, memory_map, schedule)
    return Layout(network=net, geometry=geometry, memory_map=memory_map, schedule=schedule, hardware=hw)
