"""`hwprm widths`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings

__all__ = ["widths"]


@verb(
    app,
    Take("widths", first=("cost", "keep", "budget")),
    Take("array", prefix=True),
    Take("quantize", prefix=True),
    Take("data", first=("name",)),
)
def widths(
    talk: Talk,
    settings: Settings,
    model: Annotated[str, typer.Argument(help="Dense model folder, .pt2 or .onnx file.")],
) -> Outcome:
    """Find how many channels each layer needs under one budget of MACs, weights or cycles for the whole network.

    The result is a folder: widths.json, widths.toml for `hwprm prune --config`, and with --cut a narrowed model, which
    `hwprm train` goes on with. The array's and quantisation's options matter to cycles only.

    Examples:
        hwprm widths model --keep 0.4
        hwprm widths model --cost cycles --budget 20000 --array-rows 16 -o narrow
    """
    from hwprm import api
    from hwprm.core.files import new_folder
    from hwprm.reporting import tables
    from hwprm.sources import as_dataset, check_there

    check_there(model)
    out = settings.run.out or Path("widths")
    with new_folder(out) as folder:
        data = as_dataset(settings.data)
        talk.say(f"data: {data.name}, {data.source}")
        with talk.stage("widths") as tick:
            found = api.widths(
                model, data, settings.widths, array=settings.array, quantize=settings.quantize, progress=tick
            )
        found.save(folder)
    facts = found.to_json() | {"out": str(out)}
    if found.model is not None:
        facts["accuracy"] = found.model.meta["accuracy"]
    narrowed, options = out / "model", out / "widths.toml"
    words = ("train", narrowed) if found.model is not None else ("prune", model, "--config", options)
    then = onward(*words, settings=settings)
    return Outcome(data=facts, tables=tables(facts), where=out, then=then)
