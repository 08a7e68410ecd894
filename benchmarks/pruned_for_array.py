"""What pruning by cycles gains over pruning by weights, by multiplications, and narrowing all layers alike.

What: LeNet-5 on MNIST for an array of 8 x 8, four ways from the same dense network with the same rates, fine-tuning and
images: shrunk to 3,750 cycles; by multiplications and by weights to as few as leave about the same accuracy; and with
the same share of the channels of every layer, the largest that takes 3,750 cycles or fewer. Integer accuracy on the
test split, cycles, the array's ideal bound and how much of it works.
How: the first three are rows of `hwprm repro` (lenet5-cycles-3750, lenet5-macs-130k and lenet5-weights-4800 of
examples/rows), kept in `--out` as there, so that finished ones are not run again; a quarter of an hour each for a seed.
Widths are cut as `hwprm widths` cuts them, channels in the order of their variances.
Target: a quarter fewer cycles than by weights, no more than by multiplications, at an accuracy no more than 0.1 points
below theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import HERE, RUNS, markdown, parser, say, verdict, write_results

from hwprm import api
from hwprm.api.networks import cycle_meter
from hwprm.config import ArrayConfig, WidthsConfig
from hwprm.config.recipes import Recipe, load_recipe
from hwprm.core.files import new_folder
from hwprm.intnet import IntegerNetwork
from hwprm.model import Stage
from hwprm.pipeline.rows import dense_network, run_recipe
from hwprm.pipeline.step import Silent
from hwprm.pruning.channels.blocks import channel_blocks
from hwprm.pruning.channels.groups import channel_groups
from hwprm.pruning.widths.selection import select
from hwprm.pruning.widths.widths import cut, rank_channels
from hwprm.quantization import stored_accuracy

EXAMPLES = HERE.parent / "examples"
CYCLES = str(EXAMPLES / "rows" / "lenet5-cycles-3750.toml")
#: How -> its recipe.
ROWS = {
    "by cycles": CYCLES,
    "by multiplications": str(EXAMPLES / "rows" / "lenet5-macs-130k.toml"),
    "by weights": str(EXAMPLES / "rows" / "lenet5-weights-4800.toml"),
}
ARRAY = ArrayConfig(rows=8, cols=8)
#: Share of the cycles that is saved, and points of accuracy that count as equal.
SAVED, EQUAL = 0.25, 0.1

Facts = dict[str, Any]


def main() -> None:
    """Run, compare, print and write."""
    made = parser(__doc__ or "")
    made.add_argument("--data-dir", help="folder of full MNIST")
    made.add_argument("--out", type=Path, default=RUNS / "repro", help="run folder (default: %(default)s)")
    made.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    args = made.parse_args()
    overrides = {("data", "data_dir"): args.data_dir} if args.data_dir else {}
    ways: dict[str, Callable[[int], Facts]] = {
        how: partial(_row, load_recipe(row, overrides), args.out) for how, row in ROWS.items()
    }
    ways["all layers alike"] = partial(_alike, load_recipe(CYCLES, overrides), args.out)
    rows = []
    for how, run in ways.items():
        say(how)
        rows.append(_over_seeds(how, [run(seed) for seed in args.seeds]))
    facts = {"seeds": args.seeds, "rows": rows} | _judged(rows)
    print(table(facts))
    print(f"\n{facts['target']}: {verdict(facts['met'])}")
    say(f"written: {write_results('pruned_for_array', facts, args.results)}")
    if not facts["met"]:
        raise SystemExit("pruning by cycles does not gain what it should")


def _row(recipe: Recipe, out: Path, seed: int) -> Facts:
    """A row of `hwprm repro`."""
    result = run_recipe(recipe, out, seed, Silent())
    net = IntegerNetwork.load(out / recipe.name / f"seed-{seed}" / "stages/quantize")
    return _facts(net, result["accuracy"]["integer"])


def _alike(recipe: Recipe, out: Path, seed: int) -> Facts:
    """The dense network of `recipe` with the same share of every layer's channels, fine-tuned as the recipe says."""
    dense, split = dense_network(recipe, out, seed)
    settings, data = recipe.with_seed(seed), split.dataset
    limit = settings.shrink.left
    assert limit is not None
    place = out / f"lenet5-alike-{limit}" / f"seed-{seed}"
    if not place.exists():
        blocks, meter = channel_blocks(channel_groups(dense.graph)), cycle_meter(data, ARRAY, settings.quantize)
        ranking = rank_channels(blocks, data, WidthsConfig(cost="cycles", steps=0, seed=seed), meter, 0.05)
        even = blocks.even(ranking.order)
        narrow = cut(blocks, select(blocks, even, meter, limit, 1).keep, ranking, data)
        training = replace(settings.finetune.over(settings.train), seed=seed)
        model = api.train(dense.advance(narrow, Stage.DENSE), data, training, teacher=dense)
        with new_folder(place) as folder:
            api.quantize(model, data, settings.quantize, name="lenet5-alike").save(folder)
    net = IntegerNetwork.load(place)
    accuracy = stored_accuracy(net, data.x_test, data.input_scale, data.y_test)
    return _facts(net, accuracy)


def _facts(net: IntegerNetwork, accuracy: float) -> Facts:
    report = api.estimate(net, ARRAY)
    return {
        "accuracy": round(accuracy, 2),
        "cycles": report.total,
        "bound": round(report.bound),
        "utilisation": round(report.utilisation, 4),
        "macs": sum(layer.macs for layer in report.layers),
        "weights": sum(layer.weights for layer in report.layers),
    }


def _over_seeds(how: str, found: list[Facts]) -> Facts:
    """Means over seeds, and each seed's."""
    return {"how": how} | {key: float(np.mean([one[key] for one in found])) for key in found[0]} | {"seeds": found}


def _judged(rows: list[Facts]) -> Facts:
    cycles, macs, weights, _ = rows
    equal = cycles["accuracy"] >= max(macs["accuracy"], weights["accuracy"]) - EQUAL
    fewer = cycles["cycles"] <= (1 - SAVED) * weights["cycles"] and cycles["cycles"] <= macs["cycles"]
    return {
        "target": "25 % fewer cycles than by weights, no more than by multiplications, accuracy within 0.1 points",
        "met": bool(equal and fewer),
    }


def table(facts: Facts) -> str:
    """Ways by what they cost and reach."""
    header = (
        "shrunk",
        "cycles an image",
        "ideal bound",
        "of the array works, %",
        "multiplications",
        "weights",
        "per cent",
    )
    rows = [
        (
            *(row["how"], round(row["cycles"]), round(row["bound"]), 100 * row["utilisation"]),
            *(round(row["macs"]), round(row["weights"])),
            f"{row['accuracy']:.2f} ({', '.join(str(one['accuracy']) for one in row['seeds'])})",
        )
        for row in facts["rows"]
    ]
    return markdown(header, rows)


if __name__ == "__main__":
    main()
