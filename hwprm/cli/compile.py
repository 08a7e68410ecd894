"""`hwprm compile`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import INTEGERS, Take, verb
from hwprm.config import Settings

__all__ = ["compile"]


@verb(
    app,
    Take("array", first=("rows", "cols", "weights")),
    *INTEGERS,
    Take("data", first=("name",)),
    Take("emit", prefix=True),
)
def compile(
    talk: Talk,
    settings: Settings,
    source: Annotated[str, typer.Argument(help="Model .pt2 or .onnx file, model folder, or integer network folder.")],
) -> Outcome:
    """Compile a network for an array and emit a bundle: Verilog, ROM images, test bench, golden vectors.

    A float network is quantised first, calibrated with the training images of --data; zero filters and columns are
    compacted away, exactly. The test images of --data become the bundle's.

    Examples:
        hwprm compile integer --rows 8 --cols 8
        hwprm compile net.pt2 --data images.npz --weights axi -o bundle
    """
    from hwprm import api
    from hwprm.core.files import check_output, lock_folder
    from hwprm.reporting import describe, tables
    from hwprm.sources import as_dataset, check_there

    check_there(source)
    out = settings.run.out or Path("bundle")
    check_output(out)
    with lock_folder(out):
        data = as_dataset(settings.data)
        talk.say(f"data: {data.name}, {data.source}")
        with talk.stage("compile"):
            api.compile(source, data, out=out, array=settings.array, quantize=settings.quantize, emit=settings.emit)
    facts = describe(out)
    return Outcome(data=facts | {"out": str(out)}, tables=tables(facts), where=out, then=onward("verify", out))
