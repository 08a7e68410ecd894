"""`hwprm report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings

__all__ = ["report"]


@verb(app, Take("run", only=("html",)), out=False)
def report(
    talk: Talk,
    settings: Settings,
    folder: Annotated[
        Path,
        typer.Argument(
            help="Run of `hwprm demo`, row of `hwprm repro` or one of its seeds, model, integer network, bundle, "
            "widths, study, or what `hwprm synth` or `hwprm pnr` wrote"
        ),
    ],
) -> Outcome:
    """Tables of what a folder holds: accuracy and compression per stage, cycles per layer, verification; or a page."""
    from hwprm import api
    from hwprm.reporting import tables

    html = settings.run.html
    facts = api.report(folder, html=html)
    if html:
        talk.say(f"page: {html}")
    return Outcome(data=facts, tables=tables(facts))
