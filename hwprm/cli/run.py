"""`hwprm run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Chosen, Take, verb
from hwprm.config import Settings

if TYPE_CHECKING:
    from rich.table import Table

    from hwprm.attached import BoardReport

__all__ = ["run"]


@verb(
    app,
    Take("board", only=("port", "baud", "images", "wait", "retries"), first=("port", "images")),
    Take("data", only=("name", "data_dir", "download", "image_size", "resize", "min_side"), first=("name",)),
    out=False,
)
def run(
    talk: Talk,
    settings: Settings,
    chosen: Chosen,
    bundle: Annotated[Path, typer.Argument(help="Bundle folder, emitted with --emit-host uart.")],
) -> Outcome:
    """Send images to a board that holds a bundle's design, and compare every result; exit 1 on any difference.

    The images are the bundle's own, or with --data the test images of a set. What the line breaks is sent again, and
    counted.

    Examples:
        hwprm run bundle --port /dev/ttyUSB1
        hwprm run bundle --port /dev/ttyUSB1 --data mnist --images 1000
    """
    from hwprm import api
    from hwprm.core.errors import MismatchError

    data = settings.data if any(section == "data" for section, _ in chosen.values) else None
    with talk.stage("run") as tick:
        report = api.run(bundle, data, settings.board, progress=tick)
    return Outcome(
        data=report.facts(),
        tables=(_table(report),),
        exit_code=0 if report.ok else MismatchError.exit_code,
        verdict=_verdict(report),
        then=onward("report" if report.ok else "verify", bundle),
    )


def _table(report: BoardReport) -> Table:
    from rich.table import Table

    table = Table("", "", title=f"On the board at {report.port}", title_justify="left", show_header=False)
    if report.accuracy is not None:
        table.add_row("accuracy", f"{report.accuracy:.2f}%")
    table.add_row("images a second", f"{report.rate:,.1f} (line and layers allow {report.rate_limit:,.1f})")
    table.add_row("latency", f"{1e3 * report.latency:.2f} ms, longest {1e3 * report.latency_longest:.2f} ms")
    tally = report.tally
    table.add_row("sent again", f"{tally.again:,}")
    dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(tally.dropped.items())) or "none"
    table.add_row("dropped by the board", dropped)
    other = {
        "no answer": tally.silences,
        "resets": tally.resets,
        "late": tally.strays,
        "bytes of no frame": tally.skipped,
    }
    table.add_row("other trouble", ", ".join(f"{count} {name}" for name, count in other.items() if count) or "none")
    return table


def _verdict(report: BoardReport) -> str:
    wrong = f"; {report.first_wrong}" if report.first_wrong else ""
    return (
        f"{'PASS' if report.ok else 'FAIL'}: {report.images} image{'' if report.images == 1 else 's'}, "
        f"{report.values_compared:,} values compared, {report.mismatches:,} wrong{wrong}"
    )
