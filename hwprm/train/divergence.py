"""When a run is beyond saving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from hwprm.config.train import TrainConfig
from hwprm.errors import ModelError

__all__ = ["refuse_growth", "refuse_not_finite"]

#: Epochs in a row in which the loss must have grown.
GROWING = 3
#: Below this a loss is as good as none: what it grows to is judged against this instead.
SMALL = 0.1


def refuse_not_finite(stage: str, loss: float, gradient: float, epoch: int, config: TrainConfig) -> None:
    """Raise ModelError unless the `loss` and the norm of the gradients of a step in `epoch` (from 1) are finite."""
    if math.isfinite(loss) and math.isfinite(gradient):
        return
    what = f"the gradients' norm is {gradient}" if math.isfinite(loss) else f"the loss is {loss}"
    raise ModelError(
        f"{stage}: training diverged, {what} in epoch {epoch} of {config.epochs}; lower the learning rate lr (now "
        f"{config.lr:g}) or check the images"
    )


def refuse_growth(stage: str, losses: Sequence[float], config: TrainConfig) -> None:
    """Raise ModelError when the `losses` of the epochs so far have grown for several and far beyond the best one."""
    last = losses[-GROWING - 1 :]
    grew = len(last) > GROWING and all(before < after for before, after in pairwise(last))
    if not grew or last[-1] <= config.loss_limit * max(min(losses), SMALL):
        return
    raise ModelError(
        f"{stage}: training diverges, the loss grew to {last[-1]:.3g} over the last {GROWING} epochs, more than "
        f"{config.loss_limit:g} times the best one ({min(losses):.3g}); lower the learning rate lr (now {config.lr:g})"
        " or, if the loss may grow so far, raise train.loss_limit"
    )
