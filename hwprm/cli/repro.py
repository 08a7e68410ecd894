"""`hwprm repro`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from hwprm.cli.app import app
from hwprm.cli.onward import onward
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Chosen, Take, verb
from hwprm.config import Settings
from hwprm.config.recipes import Recipe, load_recipe, recipe_names
from hwprm.core.errors import ConfigError, InputError

__all__ = ["repro"]

#: Options of the data set that may differ from the recipe's.
DATA = ("name", "data_dir", "download")


@verb(
    app,
    Take("repro", first=("list", "seeds")),
    Take("data", only=DATA, first=("name", "data_dir")),
    Take("train", only=("device",)),
    together=True,
)
def repro(
    talk: Talk,
    settings: Settings,
    chosen: Chosen,
    row: Annotated[str | None, typer.Argument(help="Row of `--list`, or a recipe file of your own.")] = None,
) -> Outcome:
    """Reproduce a row of a paper's table: run its recipe, print the paper's figure next to ours.

    Decisions are taken on images held out of the training split; the test split is read once, at the end.

    Examples:
        hwprm repro lenet5-conv-88x --seeds 0,1,2
        hwprm repro lenet5-all-120x --pruned examples/checkpoints/lenet5-all-120x
    """
    if settings.repro.list:
        recipes = [load_recipe(name) for name in recipe_names()]
        return Outcome(
            data={"rows": [_plain(recipe) for recipe in recipes]},
            tables=(_listing(recipes),),
            then=onward("repro", "ROW"),
        )
    if row is None:
        raise InputError("which row? name one of `hwprm repro --list`, or a recipe file")
    from hwprm.pipeline.rows import reproduce
    from hwprm.reporting import tables
    from hwprm.training.distributed import process_group

    _check(chosen)
    recipe = load_recipe(row, chosen.values)
    if recipe.gpu and settings.repro.pruned is None:
        talk.say(f"{recipe.name}: made for a GPU; its file says how long a CPU takes")
    out = settings.run.out or Path("runs/repro")
    if settings.repro.pruned is not None:
        return _proof(talk, recipe, settings.repro.pruned, out)
    with process_group(recipe.settings.train):
        facts = reproduce(recipe, out, settings.repro.seeds or recipe.seeds, talk)
    talk.say(f"recipe: {recipe.file}")
    where = out / recipe.name
    return Outcome(data=facts, tables=tables(facts), where=where, then=onward("report", where))


def _proof(talk: Talk, recipe: Recipe, pruned: Path, out: Path) -> Outcome:
    """The row from its pruned network."""
    from hwprm.core.errors import MismatchError
    from hwprm.pipeline.proof import prove
    from hwprm.reporting import tables

    facts = prove(recipe, pruned, out, talk)
    found, left, verify = facts["accuracy"]["integer"], facts["compression"][recipe.count], facts["verify"]
    paper = _figure(recipe.paper_compression, recipe.paper_accuracy)
    return Outcome(
        data=facts,
        tables=tables(facts),
        exit_code=MismatchError.exit_code if verify["mismatches"] else 0,
        verdict=f"{recipe.title}: {found:.2f} % in integers at {left['ratio']:.2f}x (paper: {paper}); "
        f"{verify['values_compared']:,} integers compared in RTL, {verify['mismatches']:,} wrong",
        where=out / recipe.name / "proof",
    )


def _check(chosen: Chosen) -> None:
    """Raise ConfigError for options that a recipe's own would hide."""
    taken = {
        *(("data", key) for key in DATA),
        ("train", "device"),
        *(place for place in chosen.values if place[0] in ("repro", "run")),
    }
    if refused := sorted(".".join(place) for place in chosen.values.keys() - taken):
        raise ConfigError(
            f"`hwprm repro` does not take {', '.join(refused)}: a recipe's options are in its file; copy it to change "
            f"them. Of [data] it takes {', '.join(DATA)}, of [train] device"
        )


def _plain(recipe: Recipe) -> dict[str, Any]:
    keys = ("name", "title", "source", "count", "paper_compression", "paper_accuracy", "compression", "reach", "gpu")
    return {key: getattr(recipe, key) for key in keys}


def _listing(recipes: list[Recipe]) -> Table:
    table = Table(Column("row", no_wrap=True), "what", "paper", "aim")
    for recipe in recipes:
        paper = _figure(recipe.paper_compression, recipe.paper_accuracy)
        aim = _figure(recipe.compression, recipe.reach, recipe.reach_below_dense)
        table.add_row(recipe.name, recipe.title, paper, aim + (" (GPU)" if recipe.gpu else ""))
    return table


def _figure(compression: float | None, accuracy: float | None, below: float | None = None) -> str:
    if compression is None:
        return "-"
    where = f" at {accuracy:.2f} %" if accuracy is not None else f", {below:g} below dense" if below is not None else ""
    return f"{compression:.2f}x{where}"
