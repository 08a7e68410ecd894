"""Which steps of pruning lead from the stage of a model to the last step that is asked for."""

from __future__ import annotations

from hwprm.config.steps import PruneStep
from hwprm.model.model import MASKED, Stage

__all__ = ["steps_from"]


def steps_from(stage: Stage, method: PruneStep, last: PruneStep) -> tuple[PruneStep, ...]:
    """The steps that a model of `stage` still needs up to `last`, in order; none where it is past that.

    `last`, where it is one of the two methods, is `method`.
    Fine-tuning is among them for every model that is compact by then: a compact one may be fine-tuned again.
    """
    done = {Stage.DENSE: 0, **dict.fromkeys(MASKED, 1), Stage.PURIFIED: 2, Stage.COMPACT: 3}[stage]
    way = (method, PruneStep.PURIFY, PruneStep.COMPACT, PruneStep.FINETUNE)
    return way[done : way.index(last) + 1]
