"""The steps that pruning is made of, and in which order they may follow one another: the one list of them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

__all__ = ["METHODS", "QAT", "WIDTHS", "PruneStep", "in_steps"]


class PruneStep(StrEnum):
    """What may be done to a dense network, in this order. Of the two methods there is one."""

    ADMM = "admm"  #: budgets for each layer, by ADMM, then retraining with masks
    SHRINK = "shrink"  #: one ranking over all layers, in rounds
    PURIFY = "purify"  #: P-RM and exact removal of unused paths
    COMPACT = "compact"  #: what is zero goes
    FINETUNE = "finetune"  #: training what is left


#: Ways to choose what goes.
METHODS = (PruneStep.ADMM, PruneStep.SHRINK)
#: What may stand in their place in a row: whole channels, cut at once, so that the network is compact from there on.
WIDTHS = "widths"
#: What may follow them in a row: training in integers.
QAT = "qat"


def in_steps(steps: Sequence[str]) -> bool:
    """Whether `steps` are some of `PruneStep` in its order, one method first, fine-tuning after compaction only, and at
    last perhaps `QAT`; or `WIDTHS` and fine-tuning.
    """
    order = list(PruneStep)
    steps = steps[:-1] if steps and steps[-1] == QAT else steps
    if steps and steps[0] == WIDTHS:
        return list(steps[1:]) in ([], ["finetune"])
    if any(step not in order for step in steps):
        return False
    places = [order.index(PruneStep(step)) for step in steps]
    methods = sum(step in METHODS for step in steps)
    return places == sorted(set(places)) and methods == 1 and ("finetune" not in steps or "compact" in steps)
