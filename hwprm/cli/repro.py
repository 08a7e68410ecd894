"""`hwprm repro`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from hwprm.cli.app import app
from hwprm.cli.talk import Outcome, Talk
from hwprm.cli.verb import Take, verb
from hwprm.config import Settings
from hwprm.errors import InputError

if TYPE_CHECKING:
    from hwprm.pipeline.recipes import Recipe

__all__ = ["repro"]


@verb(app, Take("repro"), Take("data", only=("name", "data_dir", "download")), together=True)
def repro(
    talk: Talk,
    settings: Settings,
    row: Annotated[str | None, typer.Argument(help="Row of `--list`, or a recipe file of your own.")] = None,
) -> Outcome:
    """Reproduce a row of a paper's table: run its recipe, print the paper's figure next to ours.

    Decisions are taken on images held out of the training split; the test split is read once, at the end.
    """
    from hwprm.pipeline.recipes import load_recipe, recipe_names

    if settings.repro.list:
        recipes = [load_recipe(name) for name in recipe_names()]
        return Outcome(data={"rows": [_plain(recipe) for recipe in recipes]}, tables=(_listing(recipes),))
    if row is None:
        raise InputError("which row? name one of `hwprm repro --list`, or a recipe file")
    from hwprm.pipeline.rows import reproduce
    from hwprm.report import tables
    from hwprm.train.distributed import process_group

    recipe = load_recipe(row, _given(settings))
    if recipe.gpu:
        talk.say(f"{recipe.name}: made for a GPU; on a CPU this takes days")
    out = settings.run.out or Path("runs/repro")
    with process_group(recipe.settings.train):
        facts = reproduce(recipe, out, settings.repro.seeds or recipe.seeds, talk)
    talk.say(f"results and every stage: {out / recipe.name}; recipe: {recipe.name}.toml")
    return Outcome(data=facts, tables=tables(facts))


def _given(settings: Settings) -> dict[tuple[str, str], Any]:
    """What the command line says, to go over the recipe's options."""
    plain = Settings()
    places = (("data", "name"), ("data", "data_dir"), ("data", "download"), ("repro", "weights"))
    values = {(section, key): getattr(getattr(settings, section), key) for section, key in places}
    return {
        (section, key): value
        for (section, key), value in values.items()
        if value != getattr(getattr(plain, section), key)
    }


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
