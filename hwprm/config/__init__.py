"""Every option, as frozen, checked dataclasses: one file per section, no torch, no numpy arrays."""

from hwprm.config.array import ArrayConfig
from hwprm.config.run import RunConfig
from hwprm.config.settings import SECTIONS, Settings, load_settings

__all__ = ["SECTIONS", "ArrayConfig", "RunConfig", "Settings", "load_settings"]
