"""One row of a paper's table: the recipe's steps, every decision on held-out training images, the test split read once.

Rows of one folder share dense networks, rounds of gradual shrinking, and every finished step that they have in common.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from hwprm.api.networks import count_meters, widths_meter
from hwprm.api.teachers import given_teacher
from hwprm.config import Settings
from hwprm.config.recipes import Recipe, load_recipe
from hwprm.config.steps import WIDTHS
from hwprm.core.errors import DataError, HwprmError
from hwprm.core.files import digest_of, lock_folder, write_file
from hwprm.data import Dataset
from hwprm.model import Model
from hwprm.nets import reference_network
from hwprm.pipeline.flow import row_flow
from hwprm.pipeline.results import finished, result_of, summary, write_result
from hwprm.pipeline.shared import rounds_of, run_dense
from hwprm.pipeline.step import Facts, Listener, Run, Silent, check_run, run_steps, start_run
from hwprm.pipeline.steps.given import Given
from hwprm.pruning.admm.admm import phases
from hwprm.pruning.admm.limited import budgeted
from hwprm.pruning.shrinking.shrink import shrink_limits
from hwprm.pruning.widths.widths import check_widths
from hwprm.sources import Split, as_model, as_split
from hwprm.training.devices import slow_precision
from hwprm.training.distributed import Group
from hwprm.training.evaluate import check_fit

__all__ = ["dense_network", "repro", "reproduce", "row_data", "run_recipe"]

#: What recipes call the data set that everyone keeps in a folder of his own.
IMAGENET = "imagenet"
#: What the accuracies that stages note are those of.
JUDGED = "images held out of the training split"
#: Begins ``recipe.toml``.
HEAD = "# What made this result; `hwprm repro` reads it. data.data_dir, a place on one machine, is not among it.\n\n"


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
        facts: Facts = Group.current().from_first(lambda: summary(recipe, out))
    return facts


def run_recipe(recipe: Recipe, out: Path, seed: int, listener: Listener) -> Facts:
    """Run `recipe` with one seed into ``out/ROW/seed-N`` and return its result, there as ``result.json`` too."""
    place = out / recipe.name / f"seed-{seed}"
    with ExitStack() as locked:
        Group.current().from_first(lambda: locked.enter_context(lock_folder(place)))
        return _run_recipe(recipe, out, seed, listener)


def dense_network(recipe: Recipe, out: Path, seed: int) -> tuple[Model, Split]:
    """The dense network that `recipe` starts from with `seed`, trained where `out` lacks it, and the row's data."""
    settings = recipe.with_seed(seed)
    split = row_data(settings)
    start = _run_of(recipe, settings, split, out / recipe.name / f"seed-{seed}")
    dense = run_dense(recipe, start, out / "shared", Silent())
    return Model.load(dense.out / "stages/train"), split


def _run_recipe(recipe: Recipe, out: Path, seed: int, listener: Listener) -> Facts:
    settings = recipe.with_seed(seed)
    place, shared = out / recipe.name / f"seed-{seed}", out / "shared"
    group = Group.current()
    group.from_first(lambda: check_run(place))
    with group.first_alone():  # it may download
        split = row_data(settings)
    listener.say(f"data: {split.dataset.name}, {split.dataset.source}")
    if remark := slow_precision(settings.train):
        listener.say(remark)
    teacher = _teacher(recipe, split.dataset)
    _check_recipe(recipe, settings, split.dataset)  # before anything is written, and before hours of dense training
    start = _run_of(recipe, settings, split, place)
    dense = run_dense(recipe, start, shared, listener)
    group.from_first(lambda: _start(recipe, seed, place))
    taught = {} if teacher is None else {"teacher": teacher.graph.weights_digest}
    run = replace(start, origin={**start.origin, "dense": dense.done["train"].key, **taught})
    given = replace(start.given, dense=dense.out / "stages/train", rounds=rounds_of(run, shared), teacher=teacher)
    others = sorted(other for other in out.glob("*/seed-*") if other != place)
    run = replace(run, given=given, beside=tuple(others))
    run_steps(run, row_flow(recipe), listener)
    facts = result_of(recipe, split.dataset, dense, run)
    group.from_first(lambda: write_result(place, facts))
    return facts


def _teacher(recipe: Recipe, data: Dataset) -> Model | None:
    """The model that teaches in place of the dense network, if any. Raises when it knows other images or classes."""
    if recipe.settings.repro.teacher is None:
        return None
    return given_teacher(recipe.settings.repro.teacher, data)


def _run_of(recipe: Recipe, settings: Settings, split: Split, place: Path) -> Run:
    """The run of a seed in `place`, as it starts: without its dense network. Nothing in it reads the test split."""
    data, weights = split.dataset, settings.repro.weights
    assert split.x_validation is not None and split.y_validation is not None
    judged = replace(split, dataset=replace(data, x_test=split.x_validation, y_test=split.y_validation))
    return Run(
        out=place,
        settings=settings,
        inputs={
            "network": recipe.network,
            "width": recipe.width * recipe.start_width,
            "whole": None if recipe.start_width == 1 else recipe.width,
            "name": recipe.name,
            "steps": recipe.steps,
            "top": recipe.top,
        },
        given=Given(split=judged, test=data, judged=JUDGED, weights=weights),
        origin={"data": data.fingerprint} | ({"weights": digest_of(weights)} if weights else {}),
    )


def _start(recipe: Recipe, seed: int, place: Path) -> None:
    """Make the folder of a seed, note what makes it, and drop what another recipe left as its result."""
    start_run(place)
    if finished(recipe, place) is None:
        (place / "result.json").unlink(missing_ok=True)
    write_file(place / "recipe.toml", HEAD + recipe.toml(seed))


def row_data(settings: Settings) -> Split:
    """The data of a row, held-out images and all. Raises DataError when they are not those that a row is run on."""
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
    try:
        width = recipe.width * recipe.start_width
        network = reference_network(recipe.network, width=width, classes=data.classes)
        graph = as_model(network.train(False), data.image_shape).graph
        check_fit(graph, data.image_shape, data.classes)
        if "shrink" in recipe.steps:
            meters = count_meters(settings.shrink, data, settings.array, settings.quantize)
            shrink_limits(graph, settings.shrink, meters)
        elif WIDTHS in recipe.steps:
            check_widths(graph, settings.widths, widths_meter(settings.widths, data, settings.array, settings.quantize))
        else:
            meters = count_meters(settings.admm, data, settings.array, settings.quantize)
            phases(graph, *budgeted(graph, settings.admm, meters))
    except HwprmError as error:
        what = f"{recipe.name} ({recipe.network}, width {recipe.width:g}) cannot run on {data.name}"
        raise type(error)(f"{what} ({data.classes} classes, images {data.image_shape}): {error}") from error
