"""`hwprm report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings
from hwprm.core.errors import ConfigError

__all__ = ["report"]


@verb(
    app,
    Take("run", only=("html", "sensitivity")),
    Take("array", prefix=True, only=("rows", "cols", "pipeline", "batch")),
    Take("quantize", prefix=True, only=("weight_bits", "act_bits")),
    Take("data", first=("name",)),
    out=False,
)
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
    other: Annotated[Path | None, typer.Argument(help="Another such folder, to be compared with the first.")] = None,
) -> Outcome:
    """Tables of what a folder holds: accuracy and compression per stage, cycles per layer, verification; or a page.

    With a second folder: every number that differs between the two; of two studies the front of both together.
    With --sensitivity, of a model: what each layer loses in accuracy for the cycles that it saves, measured on --data.

    Examples:
        hwprm report runs/demo --html page.html
        hwprm report pruned model
    """
    from hwprm import api
    from hwprm.reporting import tables

    html = settings.run.html
    if other is not None:
        _alone(html is None and not settings.run.sensitivity, "a page or --sensitivity is about one folder, not two")
        return _compared(folder, other)
    if settings.run.sensitivity:
        return _sensitivity(talk, settings, folder)
    facts = api.report(folder, html=html)
    then = None if html else onward("report", folder, "--html", f"{folder.name or 'report'}.html")
    return Outcome(data=facts, tables=tables(facts), where=html, then=then)


def _compared(folder: Path, other: Path) -> Outcome:
    """Two folders, number by number; two studies, whose points have numbers of their own, by their fronts."""
    from hwprm import api
    from hwprm.reporting.compare import compare_facts, compare_tables
    from hwprm.reporting.two_studies import compare_studies, two_studies_tables
    from hwprm.sources import holds

    facts, names = (api.report(folder), api.report(other)), (str(folder), str(other))
    if holds(folder) == holds(other) == "study":
        found = compare_studies(*facts)
        return Outcome(data=found, tables=two_studies_tables(found, names))
    found = compare_facts(*facts)
    return Outcome(data=found, tables=compare_tables(found, names))


def _alone(good: bool, why: str) -> None:
    if not good:
        raise ConfigError(f"{why}; leave one of them out")


def _sensitivity(talk: Talk, settings: Settings, model: Path) -> Outcome:
    """Cut each layer of `model` alone, and show what that costs and saves; with --html as a picture too."""
    from hwprm import api
    from hwprm.core.files import check_file
    from hwprm.reporting.sensitivity import sensitivity_facts, sensitivity_tables, write_sensitivity_page

    if html := settings.run.html:
        check_file(html)
    with talk.stage("sensitivity") as tick:
        cuts = api.sensitivity(model, settings.data, array=settings.array, quantize=settings.quantize, progress=tick)
    facts = sensitivity_facts(cuts, settings.array.rows, settings.array.cols)
    if html:
        write_sensitivity_page(facts, html)
    return Outcome(
        data=facts, tables=sensitivity_tables(facts), where=html, then=onward("prune", model, settings=settings)
    )
