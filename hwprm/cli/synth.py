"""`hwprm synth`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk, once
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings

__all__ = ["synth"]


@verb(app, Take("silicon", only=("target", "netlist", "work", "cache_gb", "timeout"), first=("target",)))
def synth(talk: Talk, settings: Settings, bundle: Annotated[Path, typer.Argument(help="Bundle folder.")]) -> Outcome:
    """Synthesise a bundle for a device: LUTs, carries, flip-flops, multipliers and block RAMs, by block of the design.

    With --out a folder gets the result, the script, the netlist and the log; with --netlist another one gets the bundle
    with its design in cells of the device, to be verified like the bundle itself. Exit 2 where the device is too small.

    Examples:
        hwprm synth bundle
        hwprm synth bundle --target ice40-up5k -o synthesised
    """
    from hwprm import api
    from hwprm.core.errors import InputError
    from hwprm.core.files import check_output
    from hwprm.reporting import tables
    from hwprm.targets import synthesis_facts, write_result

    netlist = settings.silicon.netlist
    if netlist and settings.run.out and netlist.absolute() == settings.run.out.absolute():
        raise InputError(f"--out and --netlist name the same folder, {netlist}; give each its own")
    for folder in (settings.run.out, netlist):
        if folder:
            check_output(folder)
    with talk.stage("synth") as tick:
        found = api.synth(bundle, settings.silicon, progress=once(talk, tick))
    facts = synthesis_facts(found)
    if settings.run.out:
        write_result(facts, found, None, settings.run.out)
        facts |= {"out": str(settings.run.out)}
    if netlist:
        facts |= {"netlist": str(netlist)}
        talk.say(f"netlist: {netlist}; simulate it with `hwprm verify {netlist}`")
    if too_large := found.too_large:
        talk.complain(too_large)
    return Outcome(
        data=facts,
        tables=tables(facts),
        exit_code=InputError.exit_code if too_large else 0,
        where=settings.run.out,
        then=None if too_large else onward("pnr", bundle, "--target", settings.silicon.target),
    )
