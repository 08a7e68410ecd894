"""`hwprm estimate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hwprm.cli.app import app
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import INTEGERS, Take, verb
from hwprm.config import Settings

__all__ = ["estimate"]


def _own_array(arguments: Mapping[str, Any]) -> Settings:
    """A bundle is counted for its own array where no other is asked for."""
    from hwprm.bundle import Bundle
    from hwprm.sources import array_of, holds

    source = arguments["source"]
    return Settings(array=array_of(Bundle.load(Path(source)))) if holds(source) == "bundle" else Settings()


@verb(app, Take("array"), Take("memory", prefix=True), *INTEGERS, Take("data"), out=False, base=_own_array)
def estimate(
    talk: Talk,
    settings: Settings,
    source: Annotated[str, typer.Argument(help="Model .pt2 file, model folder, integer network folder or bundle.")],
) -> Outcome:
    """Count cycles per layer and per image exactly, without simulating, beside the promise and the bound.

    A bundle is counted for its own array; --rows and --cols ask about another one. With --weights axi the stalls for
    --memory-latency and --memory-bandwidth come too, as exact.
    """
    from hwprm import api
    from hwprm.reporting import cycle_facts, tables

    with talk.stage("estimate"):
        cycles = api.estimate(
            source, settings.array, data=settings.data, quantize=settings.quantize, memory=settings.memory
        )
    array = settings.array
    facts = {"array": {"rows": array.rows, "cols": array.cols}, "cycles": cycle_facts(cycles)}
    return Outcome(data=facts, tables=tables(facts))
