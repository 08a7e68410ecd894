"""The targets, one folder each, found by looking: a folder put here whose ``__init__`` has a `FAMILY` is a target."""

from __future__ import annotations

import importlib
import pkgutil

from hwprm.targets.flow.family import Family

__all__ = ["FAMILIES"]

#: Every family of devices, in the order of their folders.
FAMILIES: tuple[Family, ...] = tuple(
    importlib.import_module(f"{__name__}.{info.name}").FAMILY for info in pkgutil.iter_modules(__path__) if info.ispkg
)
