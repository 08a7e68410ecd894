"""`hwprm pnr`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk, once
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings

__all__ = ["pnr"]


@verb(
    app,
    Take(
        "silicon",
        only=("target", "clock", "seeds", "pins", "bitstream", "work", "cache_gb", "timeout"),
        first=("target", "clock", "seeds"),
    ),
)
def pnr(talk: Talk, settings: Settings, bundle: Annotated[Path, typer.Argument(help="Bundle folder.")]) -> Outcome:
    """Place and route a bundle: clock, slack, slowest path, images per second, bitstream.

    Every seed is kept, so asking for more runs the new ones alone. With --out a folder gets the result and what the
    tools wrote. Exit 4 where --clock is missed. For devices that pip has no tool for, --out (vivado by default) gets a
    project for the vendor's own, and the exit code is 3.

    Examples:
        hwprm pnr bundle --seeds 4
        hwprm pnr bundle --target ecp5-85k --clock 60 --bitstream design.bit -o placed
    """
    from hwprm import api
    from hwprm.core.errors import UnsupportedError
    from hwprm.core.files import check_output
    from hwprm.reporting import tables
    from hwprm.targets import find_target, placement_facts, write_project, write_result

    out, silicon = settings.run.out, settings.silicon
    family = find_target(silicon.target).family
    if family.project is not None:
        out = out or Path("vivado")
        check_output(out)
        with talk.stage("pnr"):
            script = write_project(bundle, silicon, out)
        raise UnsupportedError(
            f"{silicon.target} cannot be placed and routed here: {family.unplaced}; a project for the vendor's tool "
            f"lies in {out}, run {script} there (pins and bitstreams are the project's business)"
        )
    if out:
        check_output(out)
    with talk.stage("pnr") as tick:
        found = api.pnr(bundle, silicon, progress=once(talk, tick))
    facts = placement_facts(found)
    if out:
        write_result(facts, found.synthesis, found, out)
        facts |= {"out": str(out)}
    if found.missed:
        talk.complain(found.missed)
        if silicon.bitstream and silicon.bitstream.is_file():
            talk.say(f"{silicon.bitstream} is of an earlier run and was left as it is")
    elif silicon.bitstream:
        facts |= {"bitstream": str(silicon.bitstream)}
        talk.say(f"bitstream: {silicon.bitstream}, seed {found.best.seed}")
    return Outcome(
        data=facts,
        tables=tables(facts),
        exit_code=found.missed.exit_code if found.missed else 0,
        where=out,
        then=onward("report", out) if out else onward("pnr", bundle, "--target", silicon.target, "-o", "placed"),
    )
