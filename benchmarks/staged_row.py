"""What a plan of stages reached, as a result of the row that it is a way to.

What: a ``result.json`` as `hwprm repro` leaves one, from what `benchmarks/staged.py` left: the accuracies on the test
split after every stage, what is left, cycles on the row's array, seconds; and which plan it was.
How: `python benchmarks/staged_row.py resnet18-60x examples/plans/resnet18-cifar.toml --stages DIR --score scores60.json
--out runs/repro`; `python benchmarks/repro.py --collect --out runs/repro` then finds it there.
The plan has to end as the recipe does, by the same fine-tuning and at no less than its compression. How many augmented
copies of the images a stage sees is a plan's own: a recipe has one number for all of them.
Target: the row's.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import RUNS, say
from staged_plan import Plan, Step, read_plan, way_to

from hwprm.compiler import estimate, sum_bits
from hwprm.config.recipes import Recipe, load_recipe
from hwprm.core.errors import ConfigError, ModelError
from hwprm.core.files import read_json
from hwprm.intnet import IntegerNetwork
from hwprm.model import Model
from hwprm.nets import reference_network
from hwprm.pipeline.results import write_result
from hwprm.pruning.accounting import account, against
from hwprm.sources import as_model

Facts = dict[str, Any]

#: What a stage does -> what results call the accuracy after it.
AFTER = {"train": "dense", "shrink": "shrunk", "compact": "compact", "finetune": "finetuned", "quantize": "integer"}


def main() -> None:
    """Read the stages, check them against the recipe, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row")
    parser.add_argument("plan", type=Path)
    parser.add_argument("--stages", type=Path, required=True, help="folder of the finished stages")
    parser.add_argument("--score", required=True, help="the stage that read the test split")
    parser.add_argument("--out", type=Path, default=RUNS / "repro", help="run folder of rows (default: %(default)s)")
    args = parser.parse_args()
    recipe, plan = load_recipe(args.row), read_plan(args.plan, {})
    facts = row_of(recipe, plan, args.stages, args.score) | {"plan": args.plan.name}
    write_result(args.out / recipe.name / f"seed-{plan.seed}", facts)
    say(f"{recipe.name}: {facts['accuracy']}, {facts['compression'][recipe.count]['ratio']:.2f}x")


def row_of(recipe: Recipe, plan: Plan, stages: Path, score: str) -> Facts:
    """The result of `recipe` that the stage `score` of `plan` stands for.

    Raises ConfigError when the plan is another network's or ends by other training, ModelError when too much is left.
    """
    way = way_to(plan, next(step for step in plan.steps if step.name == score))
    tuned = [step for step in way if step.do == "finetune"]
    _check_same(recipe, plan, tuned)
    last = Model.load(stages / tuned[-1].name)
    net = IntegerNetwork.load(stages / next(step.name for step in way if step.do == "quantize"))
    rows = [*last.meta.get("waterfall", []), _stored(recipe, last, net)]
    integer, nonzero = rows[-1], rows[-1]["nonzero"]
    if integer[recipe.count]["ratio"] < recipe.compression:
        raise ModelError(f"{recipe.name} is at least {recipe.compression:g}x, and this is {integer[recipe.count]}")
    scores: Facts = read_json(stages / score)
    return {
        "row": recipe.name,
        "recipe": recipe.digest(),
        "seed": plan.seed,
        "data": {"name": recipe.settings.data.name, "source": "as the plan says"},
        "accuracy": _accuracy(way, scores),
        "validation": last.meta["accuracy"],
        "teacher": last.meta.get("teacher"),
        "compression": {key: integer[key] for key in ("conv_only", "all_weights", "stored_bits")}
        | {"nonzero": {key: nonzero[key] for key in ("base", "left", "ratio")}},
        "waterfall": rows,
        "cycles": estimate(net, recipe.settings.array).total,
        "seconds": _seconds(last, way, stages),
    }


def _accuracy(way: Sequence[Step], scores: Facts) -> dict[str, float]:
    """After the last stage of each kind; nothing where an archive of a later stage made that one needless."""
    last = {AFTER[step.do]: step.name for step in way if step.do in AFTER}
    return {key: scores[name] for key, name in last.items() if name in scores}


def _check_same(recipe: Recipe, plan: Plan, tuned: Sequence[Step]) -> None:
    """A plan may fine-tune in rounds, each from what the one before left: their epochs together are the recipe's."""
    ours, theirs = plan.network, recipe.network
    if (ours, plan.width) != (theirs, recipe.width * recipe.start_width):
        raise ConfigError(f"the plan is of {ours} with {plan.width} of its channels, the row of {theirs}")
    epochs = sum(step.settings.finetune.epochs for step in tuned)
    if (planned := replace(tuned[-1].settings.finetune, epochs=epochs)) != recipe.settings.finetune:
        raise ConfigError(f"the plan fine-tunes by {planned}, the row by {recipe.settings.finetune}")


def _seconds(last: Model, way: Sequence[Step], stages: Path) -> dict[str, float]:
    """Of every step; where several stages shrink, a model knows those of its own alone, and they are added up."""
    found = dict(last.meta["seconds"])
    shrunk = [stages / step.name for step in way if step.do == "shrink" and (stages / step.name).is_dir()]
    if shrunk:
        found[AFTER["shrink"]] = sum(Model.load(folder).meta["seconds"][AFTER["shrink"]] for folder in shrunk)
    return {name: round(seconds, 1) for name, seconds in found.items()}


def _stored(recipe: Recipe, model: Model, net: IntegerNetwork) -> Facts:
    """What a memory would hold of the integer network, counted against the whole one."""
    graph = model.graph
    network = reference_network(recipe.network, width=recipe.width, classes=graph.shapes[graph.outputs[0]][0])
    whole = as_model(network.train(False), graph.input.shape).graph
    bits, bias_bits = recipe.settings.quantize.layer_bits, max(sum_bits(net).values())
    counts = account(model.graph, whole, weight_bits=net.weight_bits, bias_bits=bias_bits, layer_bits=bits)
    row: Facts = against(counts.row("integer"), model.meta.get("waterfall", []))
    return row


if __name__ == "__main__":
    main()
