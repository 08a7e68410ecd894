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

COUNTED = {"conv_only": "convolutions", "all_weights": "all weights", "nonzero": "non-zero weights"}


@verb(app, Take("repro"), Take("data", only=("name", "data_dir", "download")))
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

    recipe = load_recipe(row, _given(settings))
    if recipe.gpu:
        talk.say(f"{recipe.name}: made for a GPU; on a CPU this takes days")
    out = settings.run.out or Path("runs/repro")
    facts = reproduce(recipe, out, settings.repro.seeds or recipe.seeds, talk)
    talk.say(f"results and every stage: {out / recipe.name}; recipe: {recipe.name}.toml")
    return Outcome(data=facts, tables=(_result(recipe, facts), _seeds(facts)))


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


def _result(recipe: Recipe, facts: dict[str, Any]) -> Table:
    accuracy = facts["accuracy"]
    table = Table("", COUNTED[recipe.count], "accuracy, per cent", title=recipe.title)
    paper = recipe.paper_accuracy
    table.add_row("paper", _times(recipe.paper_compression), "-" if paper is None else f"{paper:.2f}")
    ours = f"{accuracy['mean']:.2f}, seeds within {accuracy['spread']:.2f}"
    table.add_row("hwprm, 8-bit integers", _times(facts["compression"]), ours)
    aim = "-" if recipe.reach is None else f"{recipe.reach:.2f}"
    if recipe.reach_below_dense is not None:
        aim = f"{recipe.reach_below_dense:g} below dense"
    reached = {True: ", reached", False: ", missed", None: ""}[facts["reached"]]
    table.add_row("aim", _times(recipe.compression), aim + reached)
    return table


def _seeds(facts: dict[str, Any]) -> Table:
    """A column for each seed: accuracies after every step, what is left, cycles, seconds."""
    results = facts["seeds"]
    table = Table("", *(Column(f"seed {result['seed']}", justify="right") for result in results))
    for stage in results[0]["accuracy"]:
        table.add_row(f"{stage}, per cent", *(f"{result['accuracy'][stage]:.2f}" for result in results))
    for count in results[0]["compression"]:
        counts = [result["compression"][count] for result in results]
        table.add_row(count.replace("_", " "), *(f"{one['left']:,} ({_times(one['ratio'])})" for one in counts))
    table.add_row("clock cycles an image", *(f"{result['cycles']:,}" for result in results))
    table.add_row("seconds", *(f"{sum(result['seconds'].values()):.0f}" for result in results))
    return table


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"
