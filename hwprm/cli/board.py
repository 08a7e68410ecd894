"""`hwprm board`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk, once
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings

__all__ = ["board"]


@verb(
    app,
    Take("board", only=("name",), first=("name",)),
    Take("silicon", only=("seeds", "bitstream", "work", "cache_gb", "timeout"), first=("seeds",)),
)
def board(
    talk: Talk,
    settings: Settings,
    bundle: Annotated[Path, typer.Argument(help="Bundle folder, emitted with --emit-host uart.")],
) -> Outcome:
    """Make the bitstream of a board from a bundle: its pins, its clock, reset, lights and serial line.

    The board makes the clock that the bundle was emitted for (--emit-clock, --emit-baud); exit 4 where the design is
    slower. The folder of --out (board by default) gets design.bit, the top, the pins, and what the tools wrote.

    Examples:
        hwprm board bundle --board icebreaker
        hwprm board bundle --board ulx3s-85f --seeds 3 -o ulx3s
    """
    from hwprm import api
    from hwprm.core.files import check_output
    from hwprm.reporting import tables
    from hwprm.targets import BITSTREAM, find_board, write_board

    out = settings.run.out or Path("board")
    check_output(out)
    name = find_board(settings.board.name).name
    file = settings.silicon.bitstream or out / BITSTREAM
    with TemporaryDirectory(prefix="hwprm-") as folder:
        made = settings.silicon.bitstream or Path(folder) / BITSTREAM
        with talk.stage("board") as tick:
            found = api.board(bundle, name, replace(settings.silicon, bitstream=made), progress=once(talk, tick))
        facts = found.facts
        write_board(found, facts, out, None if found.missed or made == file else made)
    facts |= {"out": str(out)}
    if found.missed:
        talk.complain(found.missed)
    else:
        facts |= {"bitstream": str(file)}
        talk.say(
            f"bitstream: {file}, seed {found.placement.best.seed}; load it: {found.plan.board.load.format(file=file)}"
        )
    return Outcome(
        data=facts,
        tables=tables(facts),
        exit_code=found.missed.exit_code if found.missed else 0,
        where=out,
        then=None if found.missed else onward("run", bundle, "--port", "/dev/ttyUSB1"),
    )
