"""When a run is beyond saving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from hwprm.config.train import TrainConfig
from hwprm.core.errors import ModelError

__all__ = ["guessing_loss", "refuse_excess", "refuse_growth", "refuse_not_finite"]

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


def guessing_loss(classes: int, taught: bool, config: TrainConfig) -> float:
    """The most that a network costs which gives each of `classes` the same score; `taught`: by a teacher too.

    Its cross entropy is ln(classes), and its distance from any teacher is no greater.
    """
    share = config.distill if taught else 0.0
    return math.log(classes) * (1 - share + share * config.temperature**2)


def refuse_growth(stage: str, losses: Sequence[float], config: TrainConfig, least: float = 0.0) -> None:
    """Raise ModelError when the `losses` of the epochs so far have grown for several and far beyond the best one.

    Never at `least` or below it.
    """
    last = losses[-GROWING - 1 :]
    grew = len(last) > GROWING and all(before < after for before, after in pairwise(last))
    if not grew or last[-1] <= max(config.loss_limit * max(min(losses), SMALL), least):
        return
    raise ModelError(
        f"{stage}: training diverges, the loss grew to {last[-1]:.3g} over the last {GROWING} epochs, more than "
        f"{config.loss_limit:g} times the best one ({min(losses):.3g}); {_advice(config)}"
    )


def refuse_excess(stage: str, losses: Sequence[float], config: TrainConfig, start: float) -> None:
    """Raise ModelError when the last of the `losses` of the epochs is far above `start`, where healthy runs begin."""
    if losses[-1] <= config.loss_limit * start:
        return
    raise ModelError(
        f"{stage}: training diverges, the loss of epoch {len(losses)} is {losses[-1]:.3g}, more than "
        f"{config.loss_limit:g} times that of the start or of guessing ({start:.3g}); {_advice(config)}"
    )


def _advice(config: TrainConfig) -> str:
    return f"lower the learning rate lr (now {config.lr:g}) or, if the loss may grow so far, raise train.loss_limit"
