"""`hwprm check`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import verb
from hwprm.config import Settings

__all__ = ["check"]


@verb(app, out=False)
def check(
    talk: Talk,
    settings: Settings,
    model: Annotated[str, typer.Argument(help="Model folder, .pt2 or .onnx file, or the name of a reference network.")],
) -> Outcome:
    """List everything in a network that cannot be compiled, at once, with node names and remedies; exit 3 if any.

    Examples:
        hwprm check net.pt2
        hwprm check resnet18-cifar --json
    """
    from rich.markup import escape
    from rich.table import Table

    from hwprm import api
    from hwprm.core.errors import UnsupportedError
    from hwprm.frontend import Severity

    findings = api.check(model)
    bad = [finding for finding in findings if finding.severity is Severity.ERROR]
    talk.say(f"{model}: {len(bad)} things are not supported" if bad else f"{model}: every operator is supported")
    table = Table("node", "operator", "problem", "remedy", "severity", title="Findings", title_justify="left")
    for finding in findings:
        cells = (finding.node, finding.op, finding.problem, finding.remedy, str(finding.severity))
        table.add_row(*(escape(cell) for cell in cells))
    data = {"model": model, "good": not bad, "findings": [asdict(finding) for finding in findings]}
    code = UnsupportedError.exit_code if bad else 0
    then = None if bad else onward("compile", model)
    return Outcome(data=data, tables=(table,) if findings else (), exit_code=code, then=then)
