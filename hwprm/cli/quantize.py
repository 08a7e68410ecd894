"""`hwprm quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings

__all__ = ["quantize"]


@verb(app, Take("quantize"), Take("data"))
def quantize(
    talk: Talk,
    settings: Settings,
    model: Annotated[str, typer.Argument(help="Model folder or .pt2 file.")],
) -> Outcome:
    """Quantise a model; the result is an integer network folder."""
    from hwprm import api
    from hwprm.folders import new_folder
    from hwprm.quantize import stored_accuracy
    from hwprm.report import network_facts, tables
    from hwprm.sources import as_dataset

    out = settings.run.out or Path("integer")
    with new_folder(out) as folder:
        data = as_dataset(settings.data)
        talk.say(f"data: {data.name}, {data.source}")
        with talk.stage("quantise"):
            net = api.quantize(model, data, settings.quantize)
            accuracy = {}
            if (labels := data.test_labels) is not None:
                accuracy["accuracy"] = {"integer": stored_accuracy(net, data.x_test, data.input_scale, labels)}
        net.save(folder)
    facts = network_facts(net) | {"out": str(out)} | accuracy
    return Outcome(data=facts, tables=tables(facts))
