"""`hwprm prune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Chosen, Take, verb
from hwprm.config import Settings
from hwprm.core.errors import ConfigError

if TYPE_CHECKING:
    from hwprm.model import Stage

__all__ = ["prune"]

#: Options of training that ADMM and masked retraining share with it; epochs and rates are their own.
TRAINING = (
    *("batch", "optimiser", "momentum", "clip", "augment", "copies", "clean_share", "seed", "threads"),
    *("precision", "channels_last", "device", "weight_decay", "label_smoothing", "distill", "temperature"),
)


@verb(
    app,
    Take("run", only=("method", "stop_after", "teacher")),
    Take("admm", prefix=True),
    Take("shrink", prefix=True),
    Take("purify", prefix=True),
    Take("finetune", prefix=True),
    Take("train", prefix=True, only=TRAINING),
    Take("data"),
    together=True,
)
def prune(
    talk: Talk,
    settings: Settings,
    chosen: Chosen,
    model: Annotated[str, typer.Argument(help="Model folder or .pt2 file.")],
) -> Outcome:
    """Prune a model: ADMM or shrinking, P-RM, compaction, fine-tuning; the result is a model folder."""
    from hwprm import api
    from hwprm.cli.steps import finish_model, working_on
    from hwprm.reporting.record.record import applied
    from hwprm.sources import as_model

    out = settings.run.out or Path("pruned")
    run = settings.run
    if settings.purify.mode == "auto" and not settings.data.validation and run.stop_after not in ("admm", "shrink"):
        talk.say("purify: thresholds are judged on the training images; hold some out with --validation N")
    with working_on(talk, settings, "prune", out, model) as work:
        start = as_model(model, work.split.dataset.image_shape)
        _check(chosen, settings, start.stage)
        done = api.prune(
            start,
            work.split,
            admm=settings.admm,
            shrink=settings.shrink if run.method == "shrink" else None,
            purify=settings.purify,
            finetune=settings.finetune,
            train=settings.train,
            teacher=run.teacher,
            stop_after=run.stop_after,
            progress=work.progress,
            checkpoint=work.checkpoint,
        )
        # The learning rates and epochs of pruning are its steps' own.
        sections = ("data", "train", run.method, "purify", "finetune")
        keys = applied(*sections, without=("train.epochs", "train.lr"))
        return finish_model(done, out, settings, keys | {"run.method", "run.stop_after"}, first=work.first)


def _check(chosen: Chosen, settings: Settings, stage: Stage) -> None:
    """Raise ConfigError for flags of a step that does not run. A file of options may serve several commands."""
    from hwprm.model import MASKED, Stage

    method, last = settings.run.method, settings.run.stop_after
    other = {"admm": "shrink", "shrink": "admm"}[method]
    idle = {other: f"the method is {method}; add --method {other}, or leave it out"}
    if stage is not Stage.DENSE:
        pruned = f"the model is {stage} already; start from a dense one, or leave it out"
        idle |= {"admm": pruned, "shrink": pruned, "method": pruned}
    if stage not in (Stage.DENSE, *MASKED):
        idle["purify"] = f"the model is {stage} already; start from an earlier one, or leave it out"
    elif last == method:
        idle["purify"] = f"the last step is to be {last}; stop later, or leave it out"
    if last != "finetune":
        idle["finetune"] = f"the last step is to be {last}; stop later, or leave it out"
    elif not settings.finetune.epochs:
        idle["finetune"] = "nothing is fine-tuned; add --finetune-epochs N, or leave it out"
    for (section, name), flag in chosen.flags.items():
        what = name if section == "run" else section
        if what in idle and not (flag == "--finetune-epochs" and last == "finetune"):
            raise ConfigError(f"{flag} has no effect: {idle[what]}")
