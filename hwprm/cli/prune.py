"""`hwprm prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings

__all__ = ["prune"]

#: Options of training that ADMM and masked retraining share with it; epochs and rates are their own.
TRAINING = (
    *("batch", "optimiser", "momentum", "clip", "augment", "copies", "clean_share", "seed", "threads"),
    *("precision", "channels_last", "device"),
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
    model: Annotated[str, typer.Argument(help="Model folder or .pt2 file.")],
) -> Outcome:
    """Prune a model: ADMM or shrinking, P-RM, compaction, fine-tuning; the result is a model folder."""
    from hwprm import api
    from hwprm.cli.steps import finish_model, working_on
    from hwprm.report.record import applied

    out = settings.run.out or Path("pruned")
    run = settings.run
    if settings.purify.mode == "auto" and not settings.data.validation and run.stop_after not in ("admm", "shrink"):
        talk.say("purify: thresholds are judged on the training images; hold some out with --validation N")
    with working_on(talk, settings, "prune", out, model) as work:
        done = api.prune(
            model,
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
