"""Named sets of options: those of the main job, where they differ from the defaults."""

from __future__ import annotations

from dataclasses import replace

from hwprm.config.settings import Settings

__all__ = ["HELD_OUT", "demo_settings", "explore_defaults"]

#: Training images that a point's accuracy is measured on where the options hold out none.
HELD_OUT = 1000


def demo_settings() -> Settings:
    """Options under which the main job takes about three minutes on two cores with the embedded data."""
    plain = Settings()
    return replace(
        plain,
        # P-RM finds its thresholds on images that nothing was trained with.
        data=replace(plain.data, validation=1000),
        finetune=replace(plain.finetune, epochs=8),
    )


def explore_defaults() -> Settings:
    """The options that points start from where nothing else is said: shrinking, and images held out to judge by."""
    plain = Settings()
    return replace(
        plain,
        data=replace(plain.data, validation=HELD_OUT),
        run=replace(plain.run, method="shrink"),
        finetune=replace(plain.finetune, epochs=8),
    )
