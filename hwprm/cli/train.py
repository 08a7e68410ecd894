"""`hwprm train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings

__all__ = ["train"]


@verb(app, Take("train"), Take("data"), Take("run", only=("teacher",)), together=True)
def train(
    talk: Talk,
    settings: Settings,
    network: Annotated[
        str,
        typer.Argument(
            help="lenet5, vgg16-cifar, resnet18-cifar, alexnet, resnet18, resnet50, a .pt2 or .onnx file, a model."
        ),
    ] = "lenet5",
) -> Outcome:
    """Train a network on a data set; the result is a model folder."""
    from hwprm import api
    from hwprm.cli.steps import finish_model, working_on
    from hwprm.reporting.record.record import applied

    out = settings.run.out or Path("model")
    with working_on(talk, settings, "train", out, network) as work:
        model = api.train(
            network,
            work.split,
            settings.train,
            progress=work.progress,
            checkpoint=work.checkpoint,
            teacher=settings.run.teacher,
        )
        return finish_model(model, out, settings, applied("data", "train"), first=work.first)
