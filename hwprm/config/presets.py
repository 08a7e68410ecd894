"""Named sets of options: those of the main job and of explorations, where they differ from the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwprm.config.settings import Settings, load_settings

__all__ = ["DEMO", "EXPLORE", "HELD_OUT", "demo_settings", "explore_defaults"]

#: Training images that a point's accuracy is measured on where the options hold out none.
HELD_OUT = 1000

#: {(section, key): value}. P-RM finds its thresholds on images that nothing was trained with.
DEMO: Mapping[tuple[str, str], Any] = {("data", "validation"): 1000, ("finetune", "epochs"): 8}
#: Shrinking, and images held out to judge by.
EXPLORE: Mapping[tuple[str, str], Any] = {
    ("data", "validation"): HELD_OUT,
    ("run", "method"): "shrink",
    ("finetune", "epochs"): 8,
}


def demo_settings() -> Settings:
    """Options under which the main job takes about three minutes on two cores with the embedded data."""
    return load_settings(None, DEMO)


def explore_defaults() -> Settings:
    """The options that points start from where nothing else is said."""
    return load_settings(None, EXPLORE)
