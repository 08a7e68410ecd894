"""`hwprm train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings

__all__ = ["train"]


@verb(
    app,
    Take("train", first=("epochs", "lr", "batch")),
    Take("data", first=("name",)),
    Take("run", only=("teacher",)),
    together=True,
)
def train(
    talk: Talk,
    settings: Settings,
    network: Annotated[
        str,
        typer.Argument(
            help="lenet5, fast8-cifar, vgg16-cifar, resnet18-cifar, alexnet, resnet18, resnet50, a .pt2 or .onnx file, "
            "a model."
        ),
    ] = "lenet5",
) -> Outcome:
    """Train a network on a data set; the result is a model folder.

    Examples:
        hwprm train lenet5
        hwprm train net.pt2 --data images.npz --epochs 20 --lr 0.001 -o model
    """
    from hwprm import api
    from hwprm.cli.steps import keep_model, show_model, working_on
    from hwprm.reporting.record.record import applied
    from hwprm.sources import as_model, holds

    out = settings.run.out or Path("model")
    with working_on(talk, settings, "train", out, network) as work:
        start = as_model(network, work.split.dataset.image_shape) if holds(network) else None
        model = api.train(
            network,
            work.split,
            settings.train,
            progress=work.progress,
            checkpoint=work.checkpoint,
            teacher=settings.run.teacher,
        )
        if not work.first:
            return Outcome(data={})
        keep_model(model, out, settings, applied("data", "train"))
    return show_model(talk, out, onward("prune", out, settings=settings), start)
