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
    *("batch", "optimiser", "momentum", "clip", "augment", "clean_share", "seed", "threads"),
    *("precision", "channels_last", "device"),
)


@verb(
    app,
    Take("run", only=("stop_after",)),
    Take("admm", prefix=True),
    Take("purify", prefix=True),
    Take("train", prefix=True, only=TRAINING),
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
        return finish_model(done, work)
