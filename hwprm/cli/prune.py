"""`hwprm prune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Chosen, Take, verb
from hwprm.config import PruneOptions, Settings
from hwprm.config.steps import METHODS, PruneStep
from hwprm.core.errors import ConfigError

if TYPE_CHECKING:
    from hwprm.model import Stage

__all__ = ["prune"]

#: Options of training that ADMM and masked retraining share with it; epochs and rates are their own.
TRAINING = (
    *("batch", "optimiser", "momentum", "clip", "augment", "copies", "clean_share", "seed", "threads"),
    *("precision", "channels_last", "device", "weight_decay", "label_smoothing", "distill", "temperature"),
    *("ask_mirrored", "validate"),
)


@verb(
    app,
    Take("run", only=("method", "stop_after", "teacher")),
    Take("admm", prefix=True, first=("compression", "epochs")),
    Take("shrink", prefix=True, first=("compression",)),
    Take("purify", prefix=True),
    Take("finetune", prefix=True, first=("epochs",)),
    Take("train", prefix=True, only=TRAINING),
    Take("array", prefix=True),
    Take("quantize", prefix=True),
    Take("data", first=("name", "validation")),
    together=True,
)
def prune(
    talk: Talk,
    settings: Settings,
    chosen: Chosen,
    model: Annotated[str, typer.Argument(help="Model folder, .pt2 or .onnx file.")],
) -> Outcome:
    """Prune a model: ADMM or shrinking, P-RM, compaction, fine-tuning; the result is a model folder.

    Examples:
        hwprm prune model --admm-compression 20 --validation 1000
        hwprm prune model --method shrink --shrink-compression 40 --finetune-epochs 8 -o small
    """
    from hwprm import api
    from hwprm.cli.steps import keep_model, show_model, working_on
    from hwprm.model import Stage
    from hwprm.pruning.admm.budgets import preset_of
    from hwprm.reporting.record.record import applied
    from hwprm.sources import as_model

    out, options = settings.run.out or Path("pruned"), PruneOptions.of(settings)
    run = settings.run
    if settings.purify.mode == "auto" and not settings.data.validation and run.stop_after not in METHODS:
        talk.say("purify: thresholds are judged on the training images; hold some out with --validation N")
    with working_on(talk, settings, "prune", out, model) as work:
        start = as_model(model, work.split.dataset.image_shape)
        _check(chosen, settings, start.stage)
        if start.stage is Stage.DENSE and options.admm and (preset := preset_of(start.graph, options.admm)):
            talk.say(f"admm: budgets {preset}, tuned for this network; --admm-preset none takes even ones")
        done = api.prune(
            start,
            work.split,
            options,
            teacher=run.teacher,
            progress=work.progress,
            checkpoint=work.checkpoint,
        )
        # The learning rates and epochs of pruning are its steps' own.
        sections = ("data", "train", run.method, "purify", "finetune")
        keys = applied(*sections, without=("train.epochs", "train.lr"))
        if not work.first:
            return Outcome(data={})
        keep_model(done, out, settings, keys | {"run.method", "run.stop_after"})
    verb = "quantize" if done.stage is Stage.COMPACT else "prune"
    return show_model(talk, out, onward(verb, out, settings=settings), start)


def _check(chosen: Chosen, settings: Settings, stage: Stage) -> None:
    """Raise ConfigError for flags of a step that does not run. A file of options may serve several commands."""
    from hwprm.model import Stage, steps_from

    method, last = PruneStep(settings.run.method), settings.run.stop_after
    runs = steps_from(stage, method, last)
    idle: dict[str, str] = {}
    for step in PruneStep:
        if step in METHODS and step is not method:
            idle[step] = f"the method is {method}; add --method {step}, or leave it out"
        elif step not in runs and step in steps_from(Stage.DENSE, method, last):
            start = "a dense" if step is method else "an earlier"
            idle[step] = f"the model is {stage} already; start from {start} one, or leave it out"
        elif step not in runs:
            idle[step] = f"the last step is to be {last}; stop later, or leave it out"
    if stage is not Stage.DENSE:
        pruned = f"the model is {stage} already; start from a dense one, or leave it out"
        idle |= dict.fromkeys(("method", *METHODS), pruned)
    if last == "finetune" and not settings.finetune.epochs:
        idle["finetune"] = "nothing is fine-tuned; add --finetune-epochs N, or leave it out"
    for (section, name), flag in chosen.flags.items():
        what = name if section == "run" else section
        if what in idle and not (flag == "--finetune-epochs" and last == "finetune"):
            raise ConfigError(f"{flag} has no effect: {idle[what]}")
