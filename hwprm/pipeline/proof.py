"""A row from its pruned network alone: what is left of it, its integer accuracy, and that its RTL computes the same.

Nothing is trained: minutes in place of hours, for networks that took long to make.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from hwprm.bundle import Bundle
from hwprm.config.recipes import Recipe
from hwprm.core.errors import ModelError
from hwprm.core.files import digest_of_weights, lock_folder
from hwprm.data import Dataset
from hwprm.model import Model
from hwprm.nets import reference_network
from hwprm.pipeline.results import write_result
from hwprm.pipeline.rows import row_data
from hwprm.pipeline.step import Facts, Listener, Run, Step, Task, check_run, run_steps, start_run
from hwprm.pipeline.steps.given import Given
from hwprm.pipeline.steps.hardware import COMPILE, VERIFY
from hwprm.pipeline.steps.integers import QUANTIZE
from hwprm.pruning import account
from hwprm.reporting.facts.facts import compression, cycle_facts
from hwprm.sources import as_model
from hwprm.training import accuracy
from hwprm.training.evaluate import check_fit
from hwprm.verification.simulators.tools import find_simulator

__all__ = ["prove"]


def take(task: Task) -> Facts:
    """The pruned network, its accuracy in floats on the test split."""
    given: Given = task.given
    assert given.weights is not None
    model, data = as_model(given.weights, given.test.image_shape), given.test
    check_fit(model.graph, data.image_shape, data.classes)
    found = accuracy(model.graph, data.x_test, data.y_test, data.input_scale, top=task.inputs["top"])
    model.save(task.place)
    return {"accuracy": {"finetuned": found}}


TAKE = Step(name="take", place="stages/finetune", run=take, inputs=("top",))
FLOW = (TAKE, QUANTIZE, COMPILE, VERIFY)


def prove(recipe: Recipe, pruned: Path, out: Path, listener: Listener) -> Facts:
    """Prove `pruned`, a model folder or an exported network, as the result of `recipe`, in ``out/ROW/proof``.

    It is quantised, scored on the test split, compiled for the recipe's array and simulated as its section ``verify``
    says. Returns ``accuracy`` {finetuned, integer}, ``compression`` (of the recipe's network, see
    `hwprm.pruning.account`), ``cycles`` and ``verify`` as reports have them, and ``reached``, the aim.
    Raises ModelError for a network of another shape or with more weights than the row may have, DataError when the
    data are not there, and what its steps raise; what they finished is reused.
    """
    place = out / recipe.name / "proof"
    with ExitStack() as locked:
        locked.enter_context(lock_folder(place))
        check_run(place)
        for name in recipe.settings.verify.simulators:
            find_simulator(name)
        split = row_data(recipe.settings)
        listener.say(f"data: {split.dataset.name}, {split.dataset.source}")
        model, whole = as_model(pruned, split.dataset.image_shape), _untrained(recipe, split.dataset)
        _check_left(recipe, model, whole)
        start_run(place)
        whole.save(place / "stages/untrained")
        run = Run(
            out=place,
            settings=recipe.settings,
            inputs={"name": recipe.name, "top": recipe.top},
            given=Given(split=split, test=split.dataset, dense=place / "stages/untrained", weights=pruned),
            origin={
                "data": split.dataset.fingerprint,
                "network": f"{recipe.network}, {recipe.width}",
                "weights": digest_of_weights(pruned),
            },
        )
        run_steps(run, FLOW, listener)
        facts = _facts(recipe, model, run)
        write_result(place, facts)
        return facts


def _untrained(recipe: Recipe, data: Dataset) -> Model:
    """The recipe's network before pruning, with random weights: what is counted against."""
    network = reference_network(recipe.network, width=recipe.width, classes=data.classes)
    return as_model(network.train(False), data.image_shape)


def _check_left(recipe: Recipe, model: Model, whole: Model) -> None:
    ratio = account(model.graph, whole.graph).row("pruned")[recipe.count]["ratio"]
    if ratio < recipe.compression:
        raise ModelError(
            f"{recipe.name} is at least {recipe.compression:g}x, counted on {recipe.count}, and this network is "
            f"{ratio:.2f}x; give the pruned network of that row"
        )


def _count(found: Facts) -> Facts:
    """A count without its layers."""
    return {key: found[key] for key in ("base", "left", "ratio")}


def _facts(recipe: Recipe, model: Model, run: Run) -> Facts:
    done = {name: step.facts for name, step in run.done.items()}
    waterfall = [*model.meta.get("waterfall", []), *done["quantize"]["waterfall"]]
    found = done["take"]["accuracy"] | done["quantize"]["accuracy"]
    simulated = done["verify"]["simulated"]
    cycles = cycle_facts(Bundle.load(run.place(COMPILE)).program.cycles, simulated["layers"], simulated["image"])
    return {
        "row": recipe.name,
        "title": recipe.title,
        "paper": {"compression": recipe.paper_compression, "accuracy": recipe.paper_accuracy},
        "accuracy": found,
        "compression": compression(waterfall) | {"nonzero": _count(waterfall[-1]["nonzero"])},
        "waterfall": waterfall,
        "cycles": cycles | {"dense": done["compile"].get("dense")},
        "verify": done["verify"]["verify"],
        "reached": recipe.reach is None or found["integer"] >= recipe.reach,
        "seconds": {name: step.seconds for name, step in run.done.items()},
    }
