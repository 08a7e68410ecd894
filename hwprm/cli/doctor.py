"""`hwprm doctor`."""

from __future__ import annotations

from dataclasses import asdict

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import verb
from hwprm.config import Settings

__all__ = ["doctor"]


@verb(app, out=False)
def doctor(talk: Talk, settings: Settings) -> Outcome:
    """Compare the tools on this machine with the tested matrix; exit 3 when one that is needed is missing.

    Examples:
        hwprm doctor
        hwprm doctor --json
    """
    from rich.table import Table

    from hwprm import api
    from hwprm.core.cache import default_cache, size_of
    from hwprm.core.errors import ToolError
    from hwprm.core.versions import State

    tools = api.doctor()
    table = Table("tool", "found", "tested", "state", "mend", title="hwprm doctor")
    colours = {State.TESTED: "green", State.UNTESTED: "yellow", State.OPTIONAL: "yellow", State.BAD: "red"}
    for tool in tools:
        table.add_row(tool.name, tool.found, tool.tested, f"[{colours[tool.state]}]{tool.state}[/]", tool.mend)
    bad = [tool.name for tool in tools if tool.state is State.BAD]
    talk.say(f"missing or too old: {', '.join(bad)}" if bad else "everything needed is here")
    place = default_cache()
    size = size_of(place)
    talk.say(
        f"compiled simulations, syntheses and fetched data: {size / 1e6:,.1f} MB in {place} "
        "(limit: `hwprm verify --cache-gb`)"
    )
    code = ToolError.exit_code if bad else 0
    data = {"tools": [asdict(tool) for tool in tools], "good": not bad, "cache": {"folder": str(place), "bytes": size}}
    return Outcome(data=data, tables=(table,), exit_code=code, then=None if bad else onward("demo"))
