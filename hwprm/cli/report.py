"""`hwprm report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import verb
from hwprm.config import Settings

__all__ = ["report"]


@verb(app, out=False)
def report(
    talk: Talk,
    settings: Settings,
    folder: Annotated[Path, typer.Argument(help="Run folder of `hwprm demo`, model, integer network or bundle.")],
) -> Outcome:
    """Tables of what a folder holds: accuracy and compression per stage, cycles per layer, verification."""
    from hwprm import api
    from hwprm.report import tables

    facts = api.report(folder)
    return Outcome(data=facts, tables=tables(facts))
