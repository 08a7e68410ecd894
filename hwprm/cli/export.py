"""`hwprm export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import verb
from hwprm.config import Settings

__all__ = ["export"]


@verb(app)
def export(
    talk: Talk,
    settings: Settings,
    model: Annotated[Path, typer.Argument(help="Model folder, or a folder that was exported before.")],
) -> Outcome:
    """Write plan.json and weights.safetensors: a pruned network that needs neither its class nor hwprm to be read.

    Examples:
        hwprm export pruned
        hwprm export pruned -o for-others
    """
    from hwprm import api
    from hwprm.reporting import describe, tables

    out = settings.run.out or Path("exported")
    api.export(model, out=out)
    facts = describe(out)
    return Outcome(data=facts | {"out": str(out)}, tables=tables(facts), where=out, then=onward("report", out))
