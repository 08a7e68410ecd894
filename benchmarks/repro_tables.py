"""The tables of docs/results.md and docs/compression.md, from what benchmarks/repro.py left."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from common import markdown

from hwprm.config.recipes import Recipe, load_recipe

__all__ = ["rows_in_full", "rows_in_short", "steps_of"]

COUNTS = {"conv_only": "convolutions", "all_weights": "all weights", "nonzero": "single weights"}
#: Steps of a recipe that say how its network was made, in words.
METHODS = {
    "widths": "widths",
    "shrink": "shrinking",
    "admm": "ADMM",
    "purify": "P-RM",
    "finetune": "fine-tuning",
    "qat": "training in integers",
}
#: Rows whose accuracy after each step is shown: the deep networks that run without a GPU.
DEEP = ("vgg16-quarter", "resnet18-quarter")


def rows_in_short(facts: dict[str, Any]) -> str:
    """The paper's figure, ours and the aim."""
    header = ("row", "counted on", "by", "paper, per cent", "hwprm, 8-bit integers, per cent", "aim")
    return markdown(
        header,
        [
            (_name(e), COUNTS[e["count"]], _method(load_recipe(e["row"]))[0], _paper(e), f"**{_ours(e)}**", _aim(e))
            for e in facts["rows"]
        ],
    )


def rows_in_full(facts: dict[str, Any], recipes: Mapping[str, Recipe] | None = None) -> str:
    """The same with distillation, the spread over seeds, the dense network, cycles and seconds (means over seeds).

    `recipes` has those that are not in examples/recipes.
    """
    known = recipes or {}
    header = ("row", "counted on", "by", "distilled", "paper", "hwprm, 8-bit integers", "spread", "dense", "aim")
    rows = [_full(e, known.get(e["row"]) or load_recipe(e["row"])) for e in facts["rows"]]
    return markdown((*header, "cycles an image", "seconds a seed"), rows)


def _full(e: dict[str, Any], recipe: Recipe) -> tuple[object, ...]:
    seeds = e["seeds"]
    spread = f"{e['accuracy']['spread']:.2f} of {len(seeds)}" if len(seeds) > 1 else "1 seed"
    dense = _mean([seed["accuracy"]["dense"] for seed in seeds])
    cycles = _mean([seed["cycles"] for seed in seeds])
    seconds = _mean([sum(seed["seconds"].values()) for seed in seeds])
    method, taught = _method(recipe)
    middle = (method, _teacher(e, recipe, taught), _paper(e), _ours(e), spread, f"{dense:.2f}", _aim(e))
    return (_name(e), COUNTS[e["count"]], *middle, _cycles(recipe, cycles), f"{seconds:,.0f}")


def steps_of(facts: dict[str, Any]) -> str:
    """Accuracy of the deep rows after every step, and what is left of the convolutions; the first seed."""
    stages = ("dense", "shrunk", "purified", "finetuned", "integer")
    rows = []
    for e in (e for name in DEEP for e in facts["rows"] if e["row"] == name):
        seed = e["seeds"][0]
        left = seed["compression"]["conv_only"]
        accuracies = [f"{seed['accuracy'][stage]:.2f}" for stage in stages]
        weights = f"{left['left']:,} of {left['base']:,} ({left['ratio']:.2f}x)"
        rows.append((_name(e), *accuracies, weights, f"{sum(seed['seconds'].values()):,.0f}"))
    header = ("row", "dense", "shrunk", "purified", "fine-tuned", "integer", "convolution weights left", "seconds")
    return markdown(header, rows)


def methods_of(facts: dict[str, Any]) -> str:
    """Groups of rows that were pruned to one limit by several methods."""
    header = ("pruned to", "by", "per cent", "dense", "convolutions", "weights left", "cycles an image", "seconds")
    rows = []
    for group in facts["groups"]:
        for i, row in enumerate(group["rows"]):
            each = ", ".join(f"{accuracy:.2f}" for accuracy in row["accuracies"])
            rows.append(
                (
                    group["title"] if i == 0 else "",
                    f"{row['how']} (`{row['row']}`)",
                    f"{row['accuracy']:.2f}" + (f" ({each})" if len(row["accuracies"]) > 1 else ""),
                    f"{row['dense']:.2f}",
                    f"{row['conv_only']:.1f}x",
                    f"{row['weights']:,}",
                    f"{row['cycles']:,}",
                    f"{row['seconds']:,}",
                )
            )
    return markdown(header, rows)


def _teacher(e: dict[str, Any], recipe: Recipe, taught: str) -> str:
    """`taught`, and by whom where that is not the dense network of the row."""
    names = {str(seed["teacher"]["name"]) for seed in e["seeds"] if seed.get("teacher")}
    names -= {recipe.name, recipe.network}
    return f"{taught}, by {', '.join(sorted(names))}" if names and taught == "yes" else taught


def _method(recipe: Recipe) -> tuple[str, str]:
    """The steps that change weights, and whether a teacher takes part in one of them."""
    settings = recipe.settings
    taught = ("shrink" in recipe.steps and settings.train.distill > 0) or (
        "finetune" in recipe.steps and settings.finetune.distill > 0
    )
    return ", ".join(METHODS[step] for step in recipe.steps if step in METHODS), "yes" if taught else "no"


def _cycles(recipe: Recipe, cycles: float) -> str:
    array = recipe.settings.array
    return f"{cycles:,.0f}" + ("" if (array.rows, array.cols) == (8, 8) else f" on {array.rows}x{array.cols}")


def _name(e: dict[str, Any]) -> str:
    return f"`{e['row']}`"


def _paper(e: dict[str, Any]) -> str:
    paper = e["paper"]
    return f"{paper['accuracy']:.2f} at {paper['compression']:g}x" if paper["accuracy"] else "-"


def _ours(e: dict[str, Any]) -> str:
    return f"{e['accuracy']['mean']:.2f} at {e['compression']:.2f}x"


def _aim(e: dict[str, Any]) -> str:
    if e["reached"] is None:
        return "-"
    reach, seeds = e["reach"], len(e["seeds"])
    aim = f"{reach['accuracy']:.2f}" if reach["accuracy"] else f"{reach['below_dense']} below dense"
    # Within the standard error of the mean over seeds a figure is neither above nor below.
    error = e["accuracy"]["deviation"] / math.sqrt(seeds)
    equal = seeds > 1 and reach["accuracy"] and abs(e["accuracy"]["mean"] - reach["accuracy"]) <= error
    return f"{aim}, {'equal' if equal else 'reached' if e['reached'] else 'missed'}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
