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


@verb(
    app,
    Take("run", only=("stop_after",)),
    Take("admm", prefix=True),
    Take("purify", prefix=True),
    Take("train", prefix=True, only=("batch", "optimiser", "augment", "clean_share", "seed", "threads")),
    Take("data"),
)
def prune(
    talk: Talk,
    settings: Settings,
    model: Annotated[str, typer.Argument(help="Model folder or .pt2 file.")],
) -> Outcome:
    """Prune a model: structured ADMM, P-RM, compaction; the result is a model folder."""
    from hwprm import api
    from hwprm.cli.steps import finish_model, working_on
    from hwprm.report.record import applied

    out = settings.run.out or Path("pruned")
    if settings.purify.mode == "auto" and not settings.data.validation and settings.run.stop_after != "admm":
        talk.say("purify: thresholds are judged on the training images; hold some out with --validation N")
    with working_on(talk, settings, "prune", out, model) as work:
        done = api.prune(
            model,
            work.data,
            admm=settings.admm,
            purify=settings.purify,
            train=settings.train,
            stop_after=settings.run.stop_after,
            progress=work.progress,
            checkpoint=work.checkpoint,
        )
        # The learning rates and epochs of pruning are ADMM's own.
        keys = applied("data", "train", "admm", "purify", without=("train.epochs", "train.lr"))
        return finish_model(done, work, keys | {"run.stop_after"})
