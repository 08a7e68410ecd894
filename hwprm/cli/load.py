"""`hwprm load`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings

__all__ = ["load"]


@verb(app, Take("weights", first=("classes", "mean", "std")))
def load(
    talk: Talk,
    settings: Settings,
    network: Annotated[
        str, typer.Argument(help="lenet5, fast8-cifar, vgg16-cifar, resnet18-cifar, alexnet, resnet18 or resnet50.")
    ],
    file: Annotated[Path, typer.Argument(help="Checkpoint: .pth or .pt with a state dict, or .safetensors.")],
) -> Outcome:
    """Load a public checkpoint, its tensors named as in torchvision; the result is a dense model folder.

    Examples:
        hwprm load resnet18-cifar resnet18.pth --classes 10
        hwprm load vgg16-cifar vgg.safetensors --mean 0.49,0.48,0.45 --std 0.25,0.24,0.26 -o vgg
    """
    from hwprm import api
    from hwprm.cli.steps import keep_model, show_model
    from hwprm.core.files import check_output, lock_folder
    from hwprm.reporting.record.record import applied

    out = settings.run.out or Path("model")
    check_output(out)
    with lock_folder(out):
        with talk.stage("load"):
            model = api.load(network, file, settings.weights)
        keep_model(model, out, settings, applied("weights"))
    return show_model(talk, out, onward("prune", out))
