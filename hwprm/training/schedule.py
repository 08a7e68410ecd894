"""The learning rate over a run."""

from __future__ import annotations

import math

from hwprm.config.train import TrainConfig

__all__ = ["learning_rate"]


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """The rate of `step` (0..`steps` - 1) of the whole run.

    The cosine spans what comes after the warm-up and ends at ``config.lr_end`` of the start; milestones are shares of
    all steps.
    """
    share = step / steps
    warm = config.warmup * steps
    if step < warm:
        return config.lr * min(1.0, (step + 1) / warm)
    if config.schedule == "constant":
        return config.lr
    if config.schedule == "step":
        return config.lr * config.gamma ** sum(share >= milestone for milestone in config.milestones)
    after = (share - config.warmup) / (1 - config.warmup)
    return config.lr * (config.lr_end + (1 - config.lr_end) * 0.5 * (1 + math.cos(math.pi * after)))
