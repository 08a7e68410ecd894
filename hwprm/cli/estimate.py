"""`hwprm estimate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import INTEGERS, Chosen, Take, verb
from hwprm.config import Settings

__all__ = ["estimate"]


def _own_array(arguments: Mapping[str, Any]) -> Settings:
    """A bundle is counted for its own array, cells and host where no others are asked for."""
    from hwprm.bundle import Bundle
    from hwprm.sources import array_of, emit_of, holds

    source = arguments["source"]
    if holds(source) != "bundle":
        return Settings()
    bundle = Bundle.load(Path(source))
    return Settings(array=array_of(bundle), emit=emit_of(bundle))


@verb(
    app,
    Take("array", first=("rows", "cols", "weights")),
    Take("memory", prefix=True),
    *INTEGERS,
    Take("data", first=("name",)),
    Take("silicon", only=("target", "clock"), first=("target", "clock")),
    Take("emit", prefix=True, only=("target", "host")),
    out=False,
    base=_own_array,
)
def estimate(
    talk: Talk,
    settings: Settings,
    chosen: Chosen,
    source: Annotated[
        str, typer.Argument(help="Model file (.pt2, .onnx) or folder, integer network folder or bundle.")
    ],
) -> Outcome:
    """Count cycles per layer and per image exactly, without simulating, beside the promise and the bound.

    A bundle is counted for its own array; --rows and --cols ask about another one. With --weights axi the stalls for
    --memory-latency and --memory-bandwidth come too, as exact. With --target or --clock also what the design takes of a
    device, by a model and without tools, and images per second; exit 2 where the device is too small.

    Examples:
        hwprm estimate integer --rows 16 --cols 16
        hwprm estimate net.pt2 --data images.npz --target ecp5-85k --clock 60
    """
    from hwprm import api
    from hwprm.core.errors import InputError
    from hwprm.reporting import cycle_facts, tables
    from hwprm.sources import as_network, check_there, holds
    from hwprm.targets import size_facts

    check_there(source)
    array, asked = settings.array, chosen.values.keys() & {("silicon", "target"), ("silicon", "clock")}
    with talk.stage("estimate"):
        # Once for both questions, since a float network is calibrated.
        bundle = holds(source) == "bundle"
        net = source if bundle else as_network(source, settings.data, settings.quantize)
        cycles = api.estimate(net, array, data=settings.data, quantize=settings.quantize, memory=settings.memory)
        facts = {"array": {"rows": array.rows, "cols": array.cols}, "cycles": cycle_facts(cycles)}
        wrong = None
        if asked:
            found = api.size(net, array, quantize=settings.quantize, target=settings.silicon.target, emit=settings.emit)
            facts |= {"size": size_facts(found, cycles, settings.silicon.clock)}
            wrong = found.too_large
    if wrong:
        talk.complain(wrong)
    sides = () if bundle else ("--rows", array.rows, "--cols", array.cols)
    then = onward("verify" if bundle else "compile", source, *sides)
    return Outcome(data=facts, tables=tables(facts), exit_code=InputError.exit_code if wrong else 0, then=then)
