"""Named sets of options: those of the main job, where they differ from the defaults."""

from __future__ import annotations

from dataclasses import replace

from hwprm.config.settings import Settings

__all__ = ["demo_settings"]


def demo_settings() -> Settings:
    """Options under which the main job takes about three minutes on two cores with the embedded data."""
    plain = Settings()
    return replace(
        plain,
        # P-RM finds its thresholds on images that nothing was trained with.
        data=replace(plain.data, validation=1000),
        finetune=replace(plain.finetune, epochs=8),
    )
