"""Every option, as frozen, checked dataclasses: one file per section, no torch, no numpy arrays."""

from hwprm.config.array import ArrayConfig

__all__ = ["ArrayConfig"]
