"""`hwprm explore`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Chosen, Take, verb
from hwprm.config import ArrayConfig, DataConfig, Settings
from hwprm.config.presets import EXPLORE
from hwprm.core.errors import ConfigError

__all__ = ["explore"]

#: Options of the array that have no flag of the same name for a dimension.
FIXED = tuple(field.name for field in fields(ArrayConfig) if field.name not in ("rows", "cols"))
#: Options of the data; how many files are decoded at once (`data.workers`) is no matter beside worker processes.
DATA = tuple(field.name for field in fields(DataConfig) if field.name != "workers")
#: Options of `explore` that make sense when a study is looked at or built from.
LOOKING = {"all", "build", "through"}


@verb(
    app,
    Take("explore", first=("rows", "cols", "compression", "target", "points", "build")),
    Take("array", only=FIXED),
    Take("quantize", prefix=True, only=("images", "percentile")),
    Take("memory", prefix=True),
    Take("run", only=("method",)),
    Take("shrink", prefix=True, only=("rate", "lr")),
    Take("finetune", prefix=True, only=("epochs", "lr")),
    Take("data", only=DATA, first=("name",)),
    base=EXPLORE,
)
def explore(
    talk: Talk,
    settings: Settings,
    chosen: Chosen,
    source: Annotated[
        str,
        typer.Argument(help="Model folder or file, integer network, bundle; or a study, to look at or build."),
    ],
) -> Outcome:
    """Explore which network, which array and which bits: the front of accuracy, cycles and area.

    Dimensions of hardware and bits alone are computed point by point; with --compression and others that change the
    network they are searched. The study folder keeps every point: an interrupted command goes on when it is run again.

    Where no point fits the device or keeps the limits, the exit code is 2.

    Given a study, this shows it; with --build N it builds that point, and its figures must be those promised.

    Examples:
        hwprm explore integer --rows 2..32*2 --cols 2..32*2
        hwprm explore model --rows 4,8,16 --compression 10..200 --target ecp5-85k --points 100 -o study
    """
    from hwprm.reporting.study import study_tables
    from hwprm.sources import holds

    if holds(source) == "study":
        return _kept(talk, settings, chosen, Path(source))
    if settings.explore.build is not None:
        raise ConfigError(f"--build takes a point of a study, and {source!r} is none; name the study's folder")
    from hwprm.exploration import explore as run

    out = settings.run.out or Path("study")
    if holds(out) == "study":
        talk.say(f"explore: goes on with the study in {out}; points that it holds are not computed again")
    data = settings.data if any(section == "data" for section, _ in chosen.values) else None
    with talk.stage("explore") as tick:
        study = run(source, settings.explore, out=out, data=data, settings=settings, progress=tick)
    facts = study.to_json()
    front = study.front()
    then = onward("explore", out, "--build", front[0].number) if front else None
    shown = study_tables(facts, all_points=settings.explore.all) if front or settings.explore.all else ()
    if not front:
        talk.complain(ConfigError(str(study.about.get("advice", "the search ended before its first point"))))
    code = 0 if front else ConfigError.exit_code
    return Outcome(data=facts | {"out": str(out)}, tables=shown, exit_code=code, where=out, then=then)


def _kept(talk: Talk, settings: Settings, chosen: Chosen, folder: Path) -> Outcome:
    """Show the study in `folder`, or build one of its points."""
    from hwprm.exploration import Study, build_point
    from hwprm.reporting.study import built_tables, study_tables

    for (section, name), flag in chosen.flags.items():
        looking = (
            section == "run" and name in ("json", "quiet") or (section, name) in {("explore", key) for key in LOOKING}
        )
        building = settings.explore.build is not None and (section == "data" or (section, name) == ("run", "out"))
        if not (looking or building):
            raise ConfigError(f"{flag} has no effect: {folder} is a study already; explore a network, or leave it out")
    study, number = Study.load(folder), settings.explore.build
    if number is None:
        facts = study.to_json()
        if advice := study.about.get("advice"):
            talk.say(str(advice))
        then = onward("explore", folder, "--build", front[0].number) if (front := study.front()) else None
        return Outcome(data=facts, tables=study_tables(facts, all_points=settings.explore.all), then=then)
    out = settings.run.out or Path(f"point-{number}")
    data = {name: getattr(settings.data, name) for section, name in chosen.values if section == "data"}
    with talk.stage("build") as tick:
        built = build_point(study, number, out=out, data=data, through=settings.explore.through, progress=tick)
    facts = built.to_json()
    if error := built.error:
        talk.complain(error)
    if built.missed:
        talk.complain(built.missed)
    wrong, then = error or built.missed, onward("report", out / "bundle")
    code = wrong.exit_code if wrong else 0
    return Outcome(data=facts, tables=built_tables(facts), exit_code=code, where=out, then=then)
