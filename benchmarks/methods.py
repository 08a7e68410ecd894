"""Shrinking, structured ADMM with P-RM, and widths by one global budget, side by side with equal fine-tuning.

What: networks of the same data, each group of them pruned to the same limit by every method and fine-tuned by the same
options: integer accuracy on the test split over seeds, what is left, cycles, seconds. ADMM with P-RM stands there
without fine-tuning as well, as in the paper. The limits are the paper's three compressions of LeNet-5's convolutions;
3,750 cycles of LeNet-5 on 8 x 8; and of a ResNet-18 with a quarter of its filters 71,000 cycles on 16 x 8, and as many
multiplications as shrinking to these leaves.
How: rows of `hwprm repro`, kept in `--out` as there, so that finished ones are not run again; rows of examples/recipes
are read from results/repro.json, which `benchmarks/repro.py` makes. Hours. With --collect nothing is run, and rows that
--out has no seed of stay as the results have them.
`python benchmarks/methods.py --data-dir FOLDER --cifar-dir FOLDER`.
Target: none, it says what each method costs and reaches.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import Stopwatch
from common import HERE, RESULTS, RUNS, parser, say, write_results
from repro_tables import methods_of

from hwprm.config.recipes import Recipe, load_recipe
from hwprm.pipeline.results import finished
from hwprm.pipeline.rows import run_recipe

ROWS = HERE.parent / "examples" / "rows"
Facts = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Networks pruned to one limit: how -> the row, a recipe's name or a file of examples/rows."""

    title: str
    data: str
    seeds: tuple[int, ...]
    rows: dict[str, str]


def _admm(ratio: int) -> Group:
    return Group(
        title=f"LeNet-5, {ratio}x of the convolutions' weights",
        data="mnist",
        seeds=(0, 1, 2),
        rows={
            "shrinking": f"lenet5-conv-{ratio}x",
            "ADMM, P-RM": f"lenet5-admm-{ratio}x-tuned.toml",
            "ADMM, P-RM, not fine-tuned": f"lenet5-admm-{ratio}x",
        },
    )


GROUPS = (
    _admm(39),
    _admm(88),
    _admm(232),
    Group(
        title="LeNet-5, 3,750 cycles on 8 x 8",
        data="mnist",
        seeds=(0, 1, 2),
        rows={
            "shrinking": "lenet5-cycles-3750.toml",
            "ADMM, P-RM": "lenet5-admm-cycles-3750.toml",
            "widths": "lenet5-widths-cycles-3750.toml",
        },
    ),
    Group(
        title="ResNet-18/4, 71,000 cycles on 16 x 8",
        data="cifar10",
        seeds=(0,),
        rows={
            "shrinking": "resnet18-quarter-cycles",
            "widths": "resnet18-quarter-widths-cycles.toml",
            "widths by multiplications": "resnet18-quarter-widths-macs.toml",
        },
    ),
)


def main() -> None:
    """Run what is not finished, compare, print and write."""
    made = parser(__doc__ or "")
    made.add_argument("--data-dir", help="folder of full MNIST")
    made.add_argument("--cifar-dir", help="folder of CIFAR-10")
    made.add_argument("--out", type=Path, default=RUNS / "repro", help="run folder (default: %(default)s)")
    made.add_argument("--collect", action="store_true", help="only gather what --out and results/repro.json hold")
    args = made.parse_args()
    known = {row["row"]: row for row in json.loads((RESULTS / "repro.json").read_text())["rows"]}
    file, earlier = args.results / "methods.json", {}
    if args.collect and file.exists():
        earlier = {row["row"]: row for group in json.loads(file.read_text())["groups"] for row in group["rows"]}
    groups = []
    for group in GROUPS:
        say(group.title)
        folder = args.data_dir if group.data == "mnist" else args.cifar_dir
        overrides = {("data", "data_dir"): folder} if folder else {}
        found = []
        for how, row in group.rows.items():
            seeds = known[row]["seeds"] if row in known else _run(load_recipe(_file(row), overrides), group, args)
            if seeds:
                found.append(_over_seeds(how, row, seeds))
            elif row.removesuffix(".toml") in earlier:
                found.append(earlier[row.removesuffix(".toml")])
        groups.append({"title": group.title, "rows": found})
    facts = {"groups": groups}
    print(methods_of(facts))
    say(f"written: {write_results('methods', facts, args.results)}")


def _file(row: str) -> str:
    return str(ROWS / row) if row.endswith(".toml") else row


def _run(recipe: Recipe, group: Group, args: Any) -> list[Facts]:
    """The results of every seed; with --collect of those that are there."""
    results = []
    for seed in group.seeds:
        if args.collect:
            result = finished(recipe, args.out / recipe.name / f"seed-{seed}")
        else:
            watch = Stopwatch(args.out / "cpu" / f"{recipe.name}-{seed}.json")
            result = run_recipe(recipe, args.out, seed, watch)
        if result is None:
            say(f"{recipe.name}, seed {seed}: not there")
        else:
            results.append(result)
    return results


def _over_seeds(how: str, row: str, seeds: Sequence[Facts]) -> Facts:
    """Means over seeds, and the accuracy of each."""
    accuracies = [seed["accuracy"]["integer"] for seed in seeds]
    last = [seed["waterfall"][-1] for seed in seeds]
    return {
        "how": how,
        "row": row.removesuffix(".toml"),
        "accuracy": round(float(np.mean(accuracies)), 3),
        "accuracies": accuracies,
        "dense": round(float(np.mean([seed["accuracy"]["dense"] for seed in seeds])), 2),
        "conv_only": round(float(np.mean([one["conv_only"]["ratio"] for one in last])), 2),
        "weights": round(float(np.mean([one["all_weights"]["left"] for one in last]))),
        "cycles": round(float(np.mean([seed["cycles"] for seed in seeds]))),
        "seconds": round(float(np.mean([sum(seed["seconds"].values()) for seed in seeds]))),
    }


if __name__ == "__main__":
    main()
