"""Recipes: how one row of a paper's table is reproduced, as TOML files beside the options that they use."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from hwprm.config import Settings, load_settings
from hwprm.config.options import nearest, options_of
from hwprm.config.settings import SECTIONS, sections_toml
from hwprm.core.errors import ConfigError, InputError
from hwprm.core.files import digest_of
from hwprm.core.resources import recipe_dir

__all__ = ["COUNTS", "STEPS", "Recipe", "load_recipe", "recipe_names"]

Count = Literal["conv_only", "all_weights", "nonzero"]
COUNTS: tuple[str, ...] = typing.get_args(Count)
#: What a recipe may do with the dense network, in this order.
STEPS = ("shrink", "admm", "purify", "compact", "finetune")
#: Lowest (excluded but for per cent) and highest value of the numbers of a recipe.
RANGES = {
    "width": (0.0, 16.0),
    "compression": (0.0, 1e9),
    "paper_compression": (0.0, 1e9),
    "reach": (0.0, 100.0),
    "reach_below_dense": (-100.0, 100.0),
    "paper_accuracy": (0.0, 100.0),
}


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
    width: float = 1.0
    #: Counted on: weights of the rectangles of convolutions, of all layers, or single weights that are not zero.
    count: Count
    #: Compression and accuracy in the paper; None where it has none.
    paper_compression: float | None = None
    paper_accuracy: float | None = None
    #: Accuracy of the integer network that the recipe is to reach on average over seeds; None sets none.
    reach: float | None = None
    #: ... or points below the dense network of the same seed.
    reach_below_dense: float | None = None
    #: Compression, in `count`, that the result must have.
    compression: float
    #: A class among this many first ones is right: 5 where the paper gives top-5 accuracies.
    top: int = 1
    #: Steps from the dense network on, of `STEPS`: one way to prune, then what is to follow it.
    steps: tuple[str, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    #: Whether the recipe takes days on a CPU.
    gpu: bool = False
    settings: Settings

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

        Not of titles, the paper's figures and the aim, nor of where the data lie.
        """
        weights = self.settings.repro.weights
        what = (self.network, self.width, self.top, self.steps, digest_of(weights) if weights else None)
        text = json.dumps(what) + "\n" + sections_toml(self.settings, self._read() - {"train.seed"})
        return hashlib.sha256(text.encode()).hexdigest()

    def _read(self) -> frozenset[str]:
        """Keys of the options that the result depends on."""
        sections = {"data", "train", "purify", "quantize", "array"} | ({"shrink", "admm", "finetune"} & set(self.steps))
        if self.settings.repro.weights:
            sections.add("weights")
        keys = (option.key for section in sections for option in options_of(section, SECTIONS[section]))
        return frozenset(keys) - {"data.data_dir", "data.download", "data.workers"}


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
    hints = typing.get_type_hints(Recipe)
    known = {field.name for field in fields(Recipe)} - {"name", "file", "settings"}
    for key in table:
        if key not in known:
            raise ConfigError(f"{path}: unknown key recipe.{key}{nearest(key, known)}")
    for key in ("title", "source", "count", "compression", "steps"):
        if key not in table:
            raise ConfigError(f"{path}: recipe.{key} is missing; write it into the table [recipe]")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    for key, value in values.items():
        # Of `float | None` and the like, None is what a key that is left out means.
        kind = typing.get_origin(hints[key]) or hints[key]
        kind = float if kind is types.UnionType else str if kind is Literal else kind
        if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool) != (kind is bool):
            raise ConfigError(f"{path}: recipe.{key} cannot be {value!r}; give a {kind.__name__}")
    if values["count"] not in COUNTS:
        raise ConfigError(f"{path}: recipe.count must be one of {', '.join(COUNTS)}, not {values['count']!r}")
    for key, (low, high) in RANGES.items():
        if key in values and not (math.isfinite(values[key]) and low < values[key] <= high):
            raise ConfigError(f"{path}: recipe.{key} must be above {low:g} and at most {high:g}, not {values[key]!r}")
    _check_seeds(path, values.get("seeds", (0,)))
    _check_steps(path, values["steps"], settings)
    return Recipe(name=path.stem, file=path, settings=settings, **values)


def _check_seeds(path: Path, seeds: tuple[Any, ...]) -> None:
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) < len(seeds):
        raise ConfigError(f"{path}: recipe.seeds must be whole numbers of 0 or more, each once, not {list(seeds)!r}")


def _check_steps(path: Path, steps: tuple[Any, ...], settings: Settings) -> None:
    order = [STEPS.index(step) if step in STEPS else -1 for step in steps]
    # A model that was pruned is not pruned again, and fine-tuning starts from a compact one.
    ways = sum(step in ("shrink", "admm") for step in steps)
    if -1 in order or order != sorted(set(order)) or ways != 1 or ("finetune" in steps and "compact" not in steps):
        raise ConfigError(
            f"{path}: recipe.steps must be of {', '.join(STEPS)}, in this order, either shrink or admm first and "
            f"finetune after compact only, not {list(steps)!r}"
        )
    if "finetune" in steps and not settings.finetune.epochs:
        raise ConfigError(f"{path}: recipe.steps has finetune, but finetune.epochs is 0; set it or leave the step out")
