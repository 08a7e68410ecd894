"""One row of a paper's table: the recipe's steps, every decision on held-out training images, the test split read once.

Dense networks, and the rounds of gradual shrinking, are shared by all rows of one folder that have them in common.
"""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwprm import api
from hwprm.config.options import options_of
from hwprm.config.settings import SECTIONS
from hwprm.core.errors import DataError, HwprmError
from hwprm.core.files import digest_of, lock_folder, write_file
from hwprm.model import Model
from hwprm.pipeline.recipes import Recipe, load_recipe
from hwprm.pipeline.step import Desk, Facts, Job, Listener, Silent, Step, check_run, run_steps, start_run
from hwprm.reporting.facts.facts import ROW_FORMAT

if TYPE_CHECKING:
    from hwprm.config import Settings
    from hwprm.data import Dataset
    from hwprm.sources import Split
    from hwprm.training.distributed import Group

__all__ = ["finished", "repro", "reproduce", "run_recipe", "summarise"]

#: What recipes call the data set that everyone keeps in a folder of his own.
IMAGENET = "imagenet"
#: What the accuracies that stages note are those of.
JUDGED = "images held out of the training split"
#: Begins ``recipe.toml``.
HEAD = "# What made this result; `hwprm repro` reads it. data.data_dir, a place on one machine, is not among it.\n\n"
CODE = ("core", "data", "graph", "nets", "training", "pruning")


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """What the steps of one seed start from."""

    recipe: Recipe
    #: Training images without those held out; the held-out ones stand where the test split would.
    judged: Split
    #: The real test split.
    test: Dataset
    #: Folder of what rows share.
    shared: Path
    #: The dense network, once there is one.
    dense: Path | None = None


def repro(
    row: str,
    out: Path | str = "runs/repro",
    *,
    data_dir: Path | str | None = None,
    seeds: tuple[int, ...] | None = None,
) -> Facts:
    """Reproduce `row`, one of ``hwprm repro --list`` or a recipe file, into ``out/ROW``; the recipe's seeds by default.

    Returns the summary (``accuracy.mean`` and ``.spread`` of the integer network, ``compression``, ``reached``, and
    each seed's result). What was finished before is reused. Raises InputError for an unknown row, DataError when the
    data set is not in `data_dir`.
    """
    overrides = {("data", "data_dir"): Path(data_dir)} if data_dir is not None else {}
    recipe = load_recipe(row, overrides)
    return reproduce(recipe, Path(out), seeds or recipe.seeds, Silent())


def reproduce(recipe: Recipe, out: Path, seeds: tuple[int, ...], listener: Listener) -> Facts:
    """Run `recipe` for every seed into ``out/ROW/seed-N`` and return the summary, also in ``out/ROW/result.json``.

    It is written after every seed, and counts all seeds that the folder holds of this recipe. What was finished before
    is reused. The processes of a group of ``torch.distributed`` train together, the first one writes. Raises DataError
    when the recipe's data set is not there, and what its steps raise; what they finished stays.
    """
    for seed in seeds:
        run_recipe(recipe, out, seed, listener)
        facts: Facts = _group().from_first(lambda: _summary(recipe, out))
    return facts


def run_recipe(recipe: Recipe, out: Path, seed: int, listener: Listener) -> Facts:
    """Run `recipe` with one seed into ``out/ROW/seed-N`` and return its result, there as ``result.json`` too."""
    place = out / recipe.name / f"seed-{seed}"
    with ExitStack() as locked:
        _group().from_first(lambda: locked.enter_context(lock_folder(place)))
        return _run_recipe(recipe, out, seed, listener)


def _run_recipe(recipe: Recipe, out: Path, seed: int, listener: Listener) -> Facts:
    settings = recipe.with_seed(seed)
    place = out / recipe.name / f"seed-{seed}"
    group = _group()
    group.from_first(lambda: check_run(place))
    with group.first_alone():  # it may download
        split = _split(settings)
    data = split.dataset
    listener.say(f"data: {data.name}, {data.source}")
    assert split.x_validation is not None and split.y_validation is not None
    judged = replace(split, dataset=replace(data, x_test=split.x_validation, y_test=split.y_validation))
    _check_recipe(recipe, settings, data)  # before anything is written, and before hours of dense training
    given = Given(recipe=recipe, judged=judged, test=data, shared=out / "shared")
    inputs = {"network": recipe.network, "width": repr(recipe.width), "data": data.fingerprint}
    if settings.repro.weights:
        inputs["weights"] = digest_of(settings.repro.weights)
    dense = _run_dense(given, settings, inputs, listener)
    group.from_first(lambda: _start(recipe, seed, place))
    job = Job(
        out=place,
        settings=settings,
        inputs=inputs | {"dense": dense.done["train"].key, "steps": " ".join(recipe.steps)},
        given=replace(given, dense=dense.place(DENSE)),
    )
    flow = (*(FLOW[name] for name in recipe.steps), FLOW["quantize"], FLOW["score"])
    run_steps(job, flow, listener)
    facts = _result(job, dense, flow)
    group.from_first(lambda: _write(place, facts))
    return facts


def finished(recipe: Recipe, place: Path) -> Facts | None:
    """The result that `recipe` left in `place`, a folder ``seed-N``; None where there is none, or of another recipe."""
    try:
        facts: Facts = json.loads((place / "result.json").read_text())
        return facts if facts["recipe"] == recipe.digest() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _summary(recipe: Recipe, out: Path) -> Facts:
    """Summary of all seeds in ``out/ROW``, left there too."""
    found = (finished(recipe, place) for place in (out / recipe.name).glob("seed-*"))
    facts = summarise(recipe, sorted((result for result in found if result), key=lambda result: int(result["seed"])))
    _write(out / recipe.name, facts)
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
        "format": ROW_FORMAT,
        "row": recipe.name,
        "recipe": recipe.digest(),
        "title": recipe.title,
        "source": recipe.source,
        "count": recipe.count,
        "top": recipe.top,
        "paper": {"compression": recipe.paper_compression, "accuracy": recipe.paper_accuracy},
        "reach": {
            "compression": recipe.compression,
            "accuracy": recipe.reach,
            "below_dense": recipe.reach_below_dense,
        },
        "accuracy": {
            "mean": mean,
            "spread": max(accuracies) - min(accuracies),
            "deviation": math.sqrt(sum((x - mean) ** 2 for x in accuracies) / max(1, len(accuracies) - 1)),
        },
        "compression": min(ratios),
        "reached": all(goals) and min(ratios) >= recipe.compression if goals else None,
        "seeds": results,
    }


def _group() -> Group:
    from hwprm.training.distributed import Group

    return Group.current()


def _start(recipe: Recipe, seed: int, place: Path) -> None:
    """Make the folder of a seed, note what makes it, and drop what another recipe left as its result."""
    start_run(place)
    if finished(recipe, place) is None:
        (place / "result.json").unlink(missing_ok=True)
    write_file(place / "recipe.toml", HEAD + recipe.toml(seed))


def _write(folder: Path, facts: Facts) -> None:
    write_file(folder / "result.json", json.dumps(facts, indent=1, allow_nan=False) + "\n")


def _split(settings: Settings) -> Split:
    from hwprm.sources import as_split

    if settings.data.name == IMAGENET and not Path(IMAGENET).exists():
        raise DataError(
            "this row needs ImageNet and a checkpoint of the dense network; name the folder, with train/CLASS/* and "
            "val/CLASS/*, by --data IMAGENET and the checkpoint by --weights FILE (without one, training comes first)"
        )
    split = as_split(settings.data)
    if settings.data.name == "mnist" and split.dataset.source.startswith("embedded"):
        raise DataError("this row needs the full MNIST set, the embedded subset is too small; name its --data-dir")
    if split.x_validation is None:
        raise DataError("a recipe judges on images held out of the training split; set data.validation")
    return split


def _check_recipe(recipe: Recipe, settings: Settings, data: Dataset) -> None:
    """Raise unless the network reads `data` and can be pruned as far as the recipe says."""
    from hwprm.nets import reference_network
    from hwprm.pruning.admm.admm import phases
    from hwprm.pruning.shrinking.shrink import shrink_limit
    from hwprm.sources import as_model
    from hwprm.training.evaluate import check_fit

    try:
        network = reference_network(recipe.network, width=recipe.width, classes=data.classes)
        graph = as_model(network.train(False), data.image_shape).graph
        check_fit(graph, data.image_shape, data.classes)
        if "shrink" in recipe.steps:
            shrink_limit(graph, settings.shrink)
        else:
            phases(graph, settings.admm)
    except HwprmError as error:
        what = f"{recipe.name} ({recipe.network}, width {recipe.width:g}) cannot run on {data.name}"
        raise type(error)(f"{what} ({data.classes} classes, images {data.image_shape}): {error}") from error


def _run_dense(given: Given, settings: Settings, inputs: Facts, listener: Listener) -> Job:
    """The dense network, in a folder that its options and data name."""
    place = given.shared / f"dense-{_digest(settings, ('train', 'data'), inputs)}"
    job = Job(out=place, settings=settings, inputs=inputs, given=given)
    with ExitStack() as locked:
        _group().from_first(lambda: locked.enter_context(lock_folder(place)))
        _group().from_first(lambda: start_run(place))
        run_steps(job, (DENSE,), listener)
    return job


def _train(job: Job, desk: Desk) -> Facts:
    from hwprm.nets import reference_network
    from hwprm.reporting.record.live import Watch

    given: Given = job.given
    if file := job.settings.repro.weights:
        return _keep(api.load(given.recipe.network, file, job.settings.weights), job, desk, "weights")
    seed = job.settings.train.seed
    network = reference_network(given.recipe.network, seed, width=given.recipe.width, classes=given.test.classes)
    data, config = given.judged.dataset, job.settings.train
    watch = Watch(desk.tick)
    model = api.train(network.train(False), data, config, progress=watch, checkpoint=watch.checkpoint(desk.scratch))
    return _keep(model.advance(model.graph, model.stage, name=given.recipe.network), job, desk, "train")


def _shrink(job: Job, desk: Desk) -> Facts:
    given: Given = job.given
    settings = job.settings
    any_limit = replace(settings, shrink=replace(settings.shrink, compression=1.0, left=None))
    rounds = given.shared / f"rounds-{_digest(any_limit, ('train', 'data', 'shrink'), dict(job.inputs))}"
    return _prune(job, desk, "shrink", rounds)


def _admm(job: Job, desk: Desk) -> Facts:
    return _prune(job, desk, "admm", desk.scratch)


def _purify(job: Job, desk: Desk) -> Facts:
    return _prune(job, desk, "purify")


def _compact(job: Job, desk: Desk) -> Facts:
    return _prune(job, desk, "compact")


def _finetune(job: Job, desk: Desk) -> Facts:
    return _prune(job, desk, "finetune", desk.scratch)


def _prune(job: Job, desk: Desk, step: Any, epochs: Path | None = None) -> Facts:
    """One step of `api.prune` on what the step before it left, its epochs kept in the folder `epochs`."""
    from hwprm.reporting.record.live import Watch

    watch = Watch(desk.tick)
    given: Given = job.given
    settings = job.settings
    listens = step in ("shrink", "finetune")
    model = api.prune(
        _before(job, step),
        given.judged,
        admm=settings.admm,
        shrink=settings.shrink if step == "shrink" else None,
        purify=settings.purify,
        finetune=settings.finetune if step == "finetune" else None,
        train=settings.train,
        teacher=given.dense if listens else None,
        stop_after=step,
        progress=watch,
        checkpoint=watch.checkpoint(epochs) if epochs else None,
    )
    return _keep(model, job, desk, *FLOW[step].sections)


def _keep(model: Model, job: Job, desk: Desk, *sections: str) -> Facts:
    from hwprm.reporting.record.record import applied, write_record

    model = model.advance(model.graph, model.stage, judged=JUDGED)
    model.save(desk.place)
    write_record(model, desk.place, job.settings, applied("data", *sections))
    return {}


def _before(job: Job, step: str) -> Model:
    steps = job.given.recipe.steps
    place = steps.index(step) if step in steps else len(steps)
    return Model.load(job.out / "stages" / steps[place - 1] if place else job.given.dense)


def _quantize(job: Job, desk: Desk) -> Facts:
    from hwprm.compiler import estimate, sum_bits
    from hwprm.pruning import account

    given: Given = job.given
    assert given.dense is not None
    model, dense = _before(job, "quantize"), Model.load(given.dense)
    net = api.quantize(model, given.judged.dataset, job.settings.quantize, name=given.recipe.name)
    net.save(desk.place)
    bias_bits = max(sum_bits(net).values())
    counts = account(model.graph, dense.graph, weight_bits=net.weight_bits, bias_bits=bias_bits)
    return {"waterfall": [counts.row("integer")], "cycles": estimate(net, job.settings.array).total}


def _score(job: Job, desk: Desk) -> Facts:
    """Accuracy of all that the row reports on the test split, which nothing before has seen."""
    from hwprm.intnet import IntegerNetwork
    from hwprm.quantization import stored_accuracy
    from hwprm.training import accuracy

    given: Given = job.given
    data = given.test
    assert given.dense is not None
    models = [Model.load(place) for place in (given.dense, *(job.out / "stages" / s for s in given.recipe.steps))]
    found = {}
    for step, model in zip(("dense", *given.recipe.steps), models, strict=True):
        key = {"finetune": "finetuned"}.get(step, model.stage.value)
        found[key] = accuracy(model.graph, data.x_test, data.y_test, data.input_scale, top=given.recipe.top)
    net = IntegerNetwork.load(job.out / "stages/quantize")
    found["integer"] = stored_accuracy(net, data.x_test, data.input_scale, data.y_test, top=given.recipe.top)
    write_file(desk.place, json.dumps(found, indent=1) + "\n")
    return {"accuracy": found}


def _result(job: Job, dense: Job, flow: tuple[Step, ...]) -> Facts:
    given: Given = job.given
    recipe = given.recipe
    last = Model.load(job.out / "stages" / recipe.steps[-1])
    assert given.dense is not None
    whole = Model.load(given.dense)
    waterfall = last.meta.get("waterfall", []) + job.done["quantize"].facts["waterfall"]
    integer = waterfall[-1]
    base = sum(layer.weight.size for layer in whole.graph.weighted)
    left = sum(int((layer.weight != 0).sum()) for layer in last.graph.weighted)
    seconds = {"dense": dense.done["train"].seconds} | {step.name: job.done[step.name].seconds for step in flow}
    for step, stage in (("dense", "dense"), ("shrink", "shrunk"), ("admm", "admm"), ("finetune", "finetuned")):
        if step in seconds:  # interrupted attempts, and rounds that another row ran, count too
            seconds[step] = max(seconds[step], last.meta["seconds"].get(stage, 0.0))
    return {
        "row": recipe.name,
        "recipe": recipe.digest(),
        "seed": job.settings.train.seed,
        "data": {"name": given.test.name, "source": _without_path(given.test.source)},
        "accuracy": job.done["score"].facts["accuracy"],
        "validation": last.meta["accuracy"],
        "compression": {key: integer[key] for key in ("conv_only", "all_weights", "stored_bits")}
        | {"nonzero": {"base": base, "left": left, "ratio": base / left}},
        "waterfall": waterfall,
        "cycles": job.done["quantize"].facts["cycles"],
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def _without_path(source: str) -> str:
    """Where data came from, without the folder on this machine."""
    what, _, place = source.partition(" in ")
    return ", ".join((what, *place.split(", ")[1:]))


def _digest(settings: Settings, sections: tuple[str, ...], inputs: Facts) -> str:
    options = [
        f"{option.key}={getattr(getattr(settings, section), option.name)!r}"
        for section in sections
        for option in options_of(section, SECTIONS[section])
        if option.key not in ("data.data_dir", "data.download")
    ]
    return hashlib.sha256("\n".join((*options, json.dumps(inputs, sort_keys=True))).encode()).hexdigest()[:12]


DENSE = Step(name="train", place="stages/train", run=_train, sections=("train",), packages=CODE)
FLOW = {
    step.name: step
    for step in (
        Step(name="shrink", place="stages/shrink", run=_shrink, sections=("train", "shrink"), packages=CODE),
        Step(name="admm", place="stages/admm", run=_admm, sections=("train", "admm"), packages=CODE),
        Step(name="purify", place="stages/purify", run=_purify, sections=("purify",), packages=CODE),
        # Without a step of its own before it, compaction purifies too.
        Step(name="compact", place="stages/compact", run=_compact, sections=("purify",), packages=CODE),
        Step(name="finetune", place="stages/finetune", run=_finetune, sections=("train", "finetune"), packages=CODE),
        Step(
            name="quantize",
            place="stages/quantize",
            run=_quantize,
            sections=("quantize", "array"),
            packages=("quantization", "compiler"),
        ),
        Step(name="score", place="stages/score.json", run=_score, packages=("quantization",)),
    )
}
