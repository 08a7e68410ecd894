"""`hwprm verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings

if TYPE_CHECKING:
    from hwprm.verification import VerifyReport

__all__ = ["verify"]


@verb(
    app,
    Take("verify", first=("sim", "images", "modes")),
    Take("memory", prefix=True),
    Take("run", only=("junit",)),
    out=False,
)
def verify(talk: Talk, settings: Settings, bundle: Annotated[Path, typer.Argument(help="Bundle folder.")]) -> Outcome:
    """Simulate a bundle and compare every integer with the reference; exit 1 on any difference.

    Examples:
        hwprm verify bundle
        hwprm verify bundle --sim both --images 1000 --junit results.xml
    """
    from hwprm import api
    from hwprm.core.errors import MismatchError
    from hwprm.reporting import tables, verify_facts

    with talk.stage("verify") as tick:
        report = api.verify(bundle, settings.verify, memory=settings.memory, junit=settings.run.junit, progress=tick)
    if resumed := sum(("resumed", "true") in case.properties for case in report.cases):
        talk.say(f"verify: {resumed} of {len(report.cases)} cases were done before it was interrupted")
    facts = verify_facts(report)
    facts["seconds"] = talk.account(facts["seconds"])
    return Outcome(
        data=facts,
        tables=tables(facts),
        exit_code=0 if report.ok else MismatchError.exit_code,
        verdict=_verdict(report),
        where=settings.run.junit,
        then=onward("synth", bundle) if report.ok else onward("verify", bundle, "--wave", "0:20000"),
    )


def _verdict(report: VerifyReport) -> str:
    """The last lines: what the images reached; whether RTL and reference agree, on how much, in how many cycles."""
    reached = f"{report.coverage_line}\n" if report.coverage else ""
    predicted, simulated = report.cycles_predicted, report.cycles_simulated
    cycles = "not measured" if simulated is None else f"{simulated:,}"
    return (
        f"{reached}{'PASS' if report.ok else 'FAIL'}: {report.images} image{'' if report.images == 1 else 's'}, "
        f"{report.values_compared:,} values compared, {report.mismatches:,} wrong; "
        f"cycles: {cycles}, predicted {predicted:,}"
    )
