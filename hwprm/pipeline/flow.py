"""The two flows: the main job, from random weights to RTL that is proven equal, and a row of a paper's table."""

from __future__ import annotations

from hwprm.config.recipes import Recipe
from hwprm.config.steps import QAT, WIDTHS, PruneStep
from hwprm.pipeline.step import Step
from hwprm.pipeline.steps.hardware import COMPILE, VERIFY
from hwprm.pipeline.steps.integers import COUNT, QUANTIZE, SCORE
from hwprm.pipeline.steps.models import LOAD, NARROW, PRUNING, TRAIN, TRAIN_INTEGERS

__all__ = ["FLOW", "dense_flow", "row_flow"]

#: The main job.
FLOW = (
    TRAIN,
    *(PRUNING[step] for step in PruneStep if step is not PruneStep.SHRINK),
    QUANTIZE,
    COMPILE,
    VERIFY,
)


def dense_flow(recipe: Recipe) -> tuple[Step, ...]:
    """The steps to the dense network of a row, which rows share."""
    return (LOAD if recipe.settings.repro.weights else TRAIN,)


def row_flow(recipe: Recipe) -> tuple[Step, ...]:
    """The steps of a row from its dense network on."""
    others = {QAT: TRAIN_INTEGERS, WIDTHS: NARROW}
    steps = (others[step] if step in others else PRUNING[PruneStep(step)] for step in recipe.steps)
    return (*steps, QUANTIZE, SCORE, COUNT)
