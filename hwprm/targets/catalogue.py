"""Targets by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwprm.config.emit import TARGETS as CELLS
from hwprm.config.options import nearest
from hwprm.core.errors import ConfigError
from hwprm.targets.families import FAMILIES
from hwprm.targets.flow.device import Device
from hwprm.targets.flow.family import Family

__all__ = ["TARGETS", "Target", "find_target"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A device and the family that knows how to synthesise for it."""

    family: Family
    device: Device

    @property
    def cells(self) -> str:
        """Whose cells a design for it may be written in (`emit.target`): any where the device has no multipliers."""
        own = self.family.name in CELLS and self.device.available.get("dsp", 0) > 0
        return self.family.name if own else CELLS[0]


#: Every device by its name.
TARGETS: Mapping[str, Target] = {
    device.name: Target(family=family, device=device) for family in FAMILIES for device in family.devices
}


def find_target(name: str) -> Target:
    """The target called `name`. Raises ConfigError, with the nearest name, when there is none."""
    if name not in TARGETS:
        raise ConfigError(f"silicon.target: no device is called {name!r}{nearest(name, TARGETS)}")
    return TARGETS[name]
