"""`hwprm verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings

__all__ = ["verify"]


@verb(app, Take("verify"), Take("memory", prefix=True), Take("run", only=("junit",)), out=False)
def verify(talk: Talk, settings: Settings, bundle: Annotated[Path, typer.Argument(help="Bundle folder.")]) -> Outcome:
    """Simulate a bundle and compare every integer with the reference; exit 1 on any difference."""
    from hwprm import api
    from hwprm.core.errors import MismatchError
    from hwprm.reporting import tables, verify_facts

    with talk.stage("verify") as tick:

        def tell(line: str, done: int, total: int) -> None:
            tick(line, done, total, {})

        report = api.verify(bundle, settings.verify, memory=settings.memory, junit=settings.run.junit, progress=tell)
    facts = verify_facts(report)
    return Outcome(data=facts, tables=tables(facts), exit_code=0 if report.ok else MismatchError.exit_code)
