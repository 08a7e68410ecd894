"""What a row of a paper's table came to: the result of a seed, and the summary over seeds."""

from __future__ import annotations

import json
import math
from pathlib import Path

from hwprm.config.recipes import Recipe
from hwprm.config.steps import QAT
from hwprm.core.files import read_json, write_file
from hwprm.core.formats import ROW
from hwprm.data import Dataset
from hwprm.model import Model
from hwprm.pipeline.step import Facts, Run

__all__ = ["finished", "result_of", "summarise", "summary", "write_result"]


def finished(recipe: Recipe, place: Path) -> Facts | None:
    """The result that `recipe` left in `place`, a folder ``seed-N``; None where there is none, or of another recipe."""
    try:
        facts: Facts = read_json(place / "result.json")
        return facts if facts["recipe"] == recipe.digest() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def summary(recipe: Recipe, out: Path) -> Facts:
    """Summary of all seeds in ``out/ROW``, left there too."""
    found = (finished(recipe, place) for place in (out / recipe.name).glob("seed-*"))
    facts = summarise(recipe, sorted((result for result in found if result), key=lambda result: int(result["seed"])))
    write_result(out / recipe.name, facts)
    return facts


def summarise(recipe: Recipe, results: list[Facts]) -> Facts:
    """Mean and spread of the integer network's accuracy over seeds, beside the paper's row and the aim."""
    accuracies = [result["accuracy"]["integer"] for result in results]
    drops = [result["accuracy"]["dense"] - result["accuracy"]["integer"] for result in results]
    ratios = [result["compression"][recipe.count]["ratio"] for result in results]
    mean = sum(accuracies) / len(accuracies)
    goals = []
    if recipe.reach is not None:
        goals.append(mean >= recipe.reach)
    if recipe.reach_below_dense is not None:
        goals.append(sum(drops) / len(drops) <= recipe.reach_below_dense)
    return {
        "format": ROW,
        "row": recipe.name,
        "recipe": recipe.digest(),
        "title": recipe.title,
        "source": recipe.source,
        "count": recipe.count,
        "top": recipe.top,
        "paper": {"compression": recipe.paper_compression, "accuracy": recipe.paper_accuracy},
        "reach": {
            "compression": recipe.compression,
            "cycles": recipe.cycles,
            "accuracy": recipe.reach,
            "below_dense": recipe.reach_below_dense,
        },
        "accuracy": {
            "mean": mean,
            "spread": max(accuracies) - min(accuracies),
            "deviation": math.sqrt(sum((x - mean) ** 2 for x in accuracies) / max(1, len(accuracies) - 1)),
        },
        "compression": min(ratios),
        "reached": all(goals) and _small(recipe, results) if goals else None,
        "seeds": results,
    }


def _small(recipe: Recipe, results: list[Facts]) -> bool:
    """Whether every network is as small as `recipe` is to make it, in cycles where it limits these."""
    if (limit := recipe.cycles) is not None:
        return bool(max(result["cycles"] for result in results) <= limit)
    return bool(min(result["compression"][recipe.count]["ratio"] for result in results) >= recipe.compression)


def result_of(recipe: Recipe, data: Dataset, dense: Run, run: Run) -> Facts:
    """The result of a seed, from the runs of its dense network and of its steps; `data` has the real test split."""
    last = Model.load(run.out / "stages" / recipe.steps[-1])
    waterfall = last.meta.get("waterfall", []) + run.done["quantize"].facts["waterfall"]
    integer = waterfall[-1]
    base = integer["nonzero"]["base"]
    left = sum(int((layer.weight != 0).sum()) for layer in last.graph.weighted)
    return {
        "row": recipe.name,
        "recipe": recipe.digest(),
        "seed": run.settings.train.seed,
        "data": {"name": data.name, "source": _without_path(data.source)},
        "accuracy": run.done["score"].facts["accuracy"],
        "validation": last.meta["accuracy"],
        "teacher": last.meta.get("teacher"),
        "compression": {key: integer[key] for key in ("conv_only", "all_weights", "stored_bits")}
        | {"nonzero": {"base": base, "left": left, "ratio": base / left}},
        "waterfall": waterfall,
        "cycles": run.done["count"].facts["cycles"],
        "seconds": _seconds(dense, run, last.meta["seconds"]),
    }


def _seconds(dense: Run, run: Run, trained: dict[str, float]) -> dict[str, float]:
    """How long each step took; `trained` is what training took by stage, according to the model's history."""
    seconds = {"dense": dense.done["train"].seconds} | {name: done.seconds for name, done in run.done.items()}
    for step, stage in (
        ("dense", "dense"),
        ("shrink", "shrunk"),
        ("admm", "admm"),
        ("finetune", "finetuned"),
        (QAT, QAT),
    ):
        if step in seconds:  # interrupted attempts, and rounds that another row ran, count too
            seconds[step] = max(seconds[step], trained.get(stage, 0.0))
    return {name: round(value, 1) for name, value in seconds.items()}


def write_result(folder: Path, facts: Facts) -> None:
    """Write ``result.json`` into `folder`."""
    write_file(folder / "result.json", json.dumps(facts, indent=1, allow_nan=False) + "\n")


def _without_path(source: str) -> str:
    """Where data came from, without the folder on this machine."""
    what, _, place = source.partition(" in ")
    return ", ".join((what, *place.split(", ")[1:]))
