"""Recipes: how one row of a paper's table is reproduced, as TOML files beside the options that they use."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Interval

from hwprm.config.kinds import NotNegative
from hwprm.config.section import checked, options_of
from hwprm.config.settings import MACHINE, SECTIONS, Settings, load_settings, sections_toml
from hwprm.config.steps import QAT, WIDTHS, PruneStep, in_steps
from hwprm.config.words import nearest
from hwprm.core.errors import ConfigError, InputError
from hwprm.core.files import digest_of, digest_of_weights
from hwprm.core.resources import recipe_dir

__all__ = ["Recipe", "load_recipe", "recipe_names"]

Count = Literal["conv_only", "all_weights", "nonzero"]
Percent = Annotated[float, Interval(gt=0, le=100)]
Factor = Annotated[float, Interval(gt=0, le=1e9)]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The table ``[recipe]`` of a file; the other tables are options. Accuracies in per cent of the test split."""

    #: The file's name: what `hwprm repro` is called with.
    name: str
    #: Where it lies.
    file: Path
    title: str
    #: Paper and table that the row is from, or what the row is for where no paper has it.
    source: str
    network: str = "lenet5"
    #: Scale of the network's filters.
    width: Annotated[float, Interval(gt=0, le=16)] = 1.0
    #: Share of these filters that the network is trained with from the start, where the rest would be the first to go;
    #: what is counted is counted from all of them.
    start_width: Annotated[float, Interval(gt=0, le=1)] = 1.0
    #: Counted on: weights of the rectangles of convolutions, of all layers, or single weights that are not zero.
    count: Count
    #: Compression and accuracy in the paper; None where it has none.
    paper_compression: Factor | None = None
    paper_accuracy: Percent | None = None
    #: Accuracy of the integer network that the recipe is to reach on average over seeds; None sets none.
    reach: Percent | None = None
    #: ... or points below the dense network of the same seed.
    reach_below_dense: Annotated[float, Interval(gt=-100, le=100)] | None = None
    #: Compression, in `count`, that the result must have.
    compression: Factor
    #: A class among this many first ones is right: 5 where the paper gives top-5 accuracies.
    top: int = 1
    #: Steps from the dense network on, of `PruneStep`: one method, then what is to follow it; or widths and finetune.
    steps: tuple[str, ...]
    seeds: tuple[NotNegative, ...] = (0, 1, 2)
    #: Whether the recipe takes hours on a CPU.
    gpu: bool = False
    settings: Settings

    @property
    def cycles(self) -> float | None:
        """Cycles that the steps limit the network to; then `compression` is no aim, only about what comes of that."""
        settings = self.settings
        if "shrink" in self.steps and settings.shrink.count == "cycles":
            return settings.shrink.left
        if "admm" in self.steps:
            return (settings.admm.limits or {}).get("cycles")
        return settings.widths.budget if WIDTHS in self.steps and settings.widths.cost == "cycles" else None

    def with_seed(self, seed: int) -> Settings:
        """The recipe's options for `seed`."""
        return replace(self.settings, train=replace(self.settings.train, seed=seed))

    def toml(self, seed: int) -> str:
        """The recipe with every option that its steps read, as a file that `load_recipe` reads, run with `seed`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)} | {"seeds": (seed,)}
        given = {k: v for k, v in values.items() if k not in ("name", "file", "settings") and v is not None}
        # JSON's text, numbers and lists are TOML's.
        lines = [f"{key} = {json.dumps(value)}" for key, value in given.items()]
        return "\n".join(["[recipe]", *lines, "", sections_toml(self.with_seed(seed), self._read())])

    def digest(self) -> str:
        """SHA-256 of what determines the result of a seed: network, steps and the options that they read.

        Not of titles, the paper's figures and the aim, nor of where the data lie and what is computed on.
        """
        weights = self.settings.repro.weights
        narrow = () if self.start_width == 1 else (self.start_width,)
        teacher = self.settings.repro.teacher
        taught = () if teacher is None else (digest_of_weights(teacher),)
        checkpoint = digest_of(weights) if weights else None
        what = (self.network, self.width, *narrow, self.top, self.steps, checkpoint, *taught)
        text = json.dumps(what) + "\n" + sections_toml(self.settings, self._read() - {"train.seed", "train.device"})
        return hashlib.sha256(text.encode()).hexdigest()

    def _read(self) -> frozenset[str]:
        """Keys of the options that the result depends on."""
        sections = {"data", "train", "purify", "quantize", "array"} | (
            {"shrink", "admm", "finetune", QAT} & set(self.steps)
        )
        if self.settings.repro.weights:
            sections.add("weights")
        keys = (option.key for section in sections for option in options_of(section, SECTIONS[section]))
        return frozenset(keys) - MACHINE


def recipe_names() -> list[str]:
    """The rows that there are recipes for."""
    return sorted(path.stem for path in recipe_dir().glob("*.toml"))


def load_recipe(row: str, overrides: Mapping[tuple[str, str], Any] | None = None) -> Recipe:
    """The recipe of `row`, a name of `recipe_names` or the path of a TOML file.

    `overrides` are those of `load_settings`. Raises InputError for an unknown row, ConfigError for a file that is none.
    """
    path = Path(row)
    if path.suffix != ".toml":
        path = recipe_dir() / f"{row}.toml"
        if not path.is_file():
            raise InputError(
                f"no recipe is called {row!r}{nearest(row, recipe_names())}; `hwprm repro --list` shows all"
            )
    settings = load_settings(path, overrides, beside=frozenset({"recipe"}))
    table = tomllib.loads(path.read_text(encoding="utf-8")).get("recipe")
    if not isinstance(table, dict):
        raise ConfigError(f"{path} has no table [recipe]; give it title, source, count, compression and steps")
    return _checked(path, table, settings)


def _checked(path: Path, table: dict[str, Any], settings: Settings) -> Recipe:
    """The recipe of the file `path`, whose keys are `table`; what each may be stands in `Recipe`."""
    options = {option.name: option for option in options_of("recipe", Recipe)}
    for name in ("name", "file", "settings"):  # not the table's
        del options[name]
    for key in table:
        if key not in options:
            raise ConfigError(f"{path}: unknown key recipe.{key}{nearest(key, options)}")
    for key in ("title", "source", "count", "compression", "steps"):
        if key not in table:
            raise ConfigError(f"{path}: recipe.{key} is missing; write it into the table [recipe]")
    try:
        values = {key: checked(options[key], value) for key, value in table.items()}
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    seeds = values.get("seeds", (0,))
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"{path}: recipe.seeds must be one or more, each once, not {list(seeds)!r}")
    _check_steps(path, values["steps"], settings)
    if values.get("start_width", 1.0) < 1 and "shrink" in values["steps"] and settings.shrink.left is None:
        raise ConfigError(
            f"{path}: recipe.start_width counts from the whole network, shrink.compression from the narrow one; give "
            "shrink.left"
        )
    return Recipe(name=path.stem, file=path, settings=settings, **values)


def _check_steps(path: Path, steps: tuple[Any, ...], settings: Settings) -> None:
    if not in_steps(steps):
        raise ConfigError(
            f"{path}: recipe.steps must be of {', '.join((*PruneStep, QAT))}, in this order, either admm or shrink "
            f"first and finetune after compact only, or {WIDTHS} and then finetune, not {list(steps)!r}"
        )
    if "finetune" in steps and not settings.finetune.epochs:
        raise ConfigError(f"{path}: recipe.steps has finetune, but finetune.epochs is 0; set it or leave the step out")
    if QAT in steps and not settings.qat.epochs:
        raise ConfigError(f"{path}: recipe.steps has {QAT}, but qat.epochs is 0; set it or leave the step out")
