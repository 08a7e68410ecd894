"""The steps that make float models: training the dense network, or loading it, and the steps of pruning it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hwprm import api
from hwprm.config import PruneOptions, QatOptions
from hwprm.config.steps import METHODS, QAT, WIDTHS, PruneStep
from hwprm.model import Model, Stage
from hwprm.nets import reference_network
from hwprm.pipeline.step import Facts, Step, Task
from hwprm.pipeline.steps.given import Given, dense_of, teacher_in
from hwprm.pruning.accounting import account, against
from hwprm.pruning.admm.budgets import preset_of
from hwprm.reporting.record.live import Watch
from hwprm.reporting.record.record import applied, write_record
from hwprm.sources import as_model

__all__ = ["LOAD", "NARROW", "PRUNING", "TRAIN", "TRAIN_INTEGERS"]


def train(task: Task) -> Facts:
    """Train the dense network on the training split; its weights are drawn from ``train.seed``."""
    given: Given = task.given
    config, name = task.settings.train, task.inputs["network"]
    watch = Watch(task.progress)
    network, data = _untrained(task), given.split.dataset
    model = api.train(network, data, config, progress=watch, checkpoint=watch.checkpoint(task.scratch))
    return _keep(model.advance(model.graph, model.stage, name=name, waterfall=_cut_before(task)), task, "train")


def load(task: Task) -> Facts:
    """Take the dense network's weights from a checkpoint."""
    given: Given = task.given
    assert given.weights is not None
    return _keep(api.load(task.inputs["network"], given.weights, task.settings.weights), task, "weights")


def shrink(task: Task) -> Facts:
    """Shrink the dense network in rounds; it teaches itself, unless another model does."""
    given: Given = task.given
    watch = Watch(task.progress)
    model = api.prune(
        _before(task),
        given.split,
        PruneOptions(
            shrink=task.settings.shrink,
            train=task.settings.train,
            array=task.settings.array,
            quantize=task.settings.quantize,
            stop_after=PruneStep.SHRINK,
        ),
        teacher=teacher_in(task),
        progress=watch,
        checkpoint=watch.checkpoint(given.rounds or task.scratch),
    )
    return _keep(model, task, "train", "shrink")


def narrow(task: Task) -> Facts:
    """Cut the dense network to the widths that one budget for all layers gives: it is compact from there on."""
    dense, settings = _before(task), task.settings
    found = api.widths(
        dense,
        task.given.split,
        replace(settings.widths, cut=True),
        array=settings.array,
        quantize=settings.quantize,
        progress=task.progress,
    )
    model = found.model
    assert model is not None
    judged = {"dense": dense.meta["accuracy"]["dense"], "narrowed": model.meta["accuracy"]["dense"]}
    return _keep(model.advance(model.graph, Stage.COMPACT, accuracy=judged), task, WIDTHS)


def admm(task: Task) -> Facts:
    """Prune the dense network by ADMM, as in the papers without a teacher."""
    watch, dense = Watch(task.progress), _before(task)
    if preset := preset_of(dense.graph, task.settings.admm):
        task.say(f"admm: budgets {preset}, tuned for this network; admm.preset = none takes even ones")
    model = api.prune(
        dense,
        task.given.split,
        PruneOptions(admm=task.settings.admm, train=task.settings.train, stop_after=PruneStep.ADMM),
        progress=watch,
        checkpoint=watch.checkpoint(task.scratch),
    )
    return _keep(model, task, "train", "admm")


def purify(task: Task) -> Facts:
    """P-RM, its thresholds judged on the images that the split holds out."""
    return _keep(_cut(task, PruneStep.PURIFY), task, "purify")


def compact(task: Task) -> Facts:
    """Take out what is zero; a model that no step of its own has purified is purified first."""
    return _keep(_cut(task, PruneStep.COMPACT), task, "purify")


def finetune(task: Task) -> Facts:
    """Train what is left; the dense network, or the model in its place, teaches it."""
    watch = Watch(task.progress)
    model = api.prune(
        _before(task),
        task.given.split,
        PruneOptions(finetune=task.settings.finetune, train=task.settings.train),
        teacher=teacher_in(task),
        progress=watch,
        checkpoint=watch.checkpoint(task.scratch),
    )
    return _keep(model, task, "train", "finetune")


def qat(task: Task) -> Facts:
    """Train what is left in integers; the dense network, or the model in its place, teaches it.

    What the same bits make of the floats lies beside it, to be compared with.
    """
    given: Given = task.given
    settings, watch = task.settings, Watch(task.progress)
    before = _before(task)
    model = api.qat(
        before,
        given.split,
        QatOptions(qat=settings.qat, quantize=settings.quantize, train=settings.train),
        teacher=teacher_in(task),
        progress=watch,
        checkpoint=watch.checkpoint(task.scratch),
    )
    facts = _keep(model, task, "train", "quantize", QAT)
    api.quantize(before, given.split, settings.quantize).save(task.place / ROUNDED)
    return facts


def _cut(task: Task, last: PruneStep) -> Model:
    """The model of the step before, taken to `last` without training."""
    options = PruneOptions(purify=task.settings.purify, stop_after=last)
    return api.prune(_before(task), task.given.split, options, progress=task.progress)


def _untrained(task: Task) -> Any:
    """The network to train, by name, or where the run says a width as a torch module for the classes of the data."""
    name, width = task.inputs["network"], task.inputs["width"]
    if width is None:
        return str(name)
    given: Given = task.given
    seed = task.settings.train.seed
    return reference_network(name, seed, width=width, classes=given.test.classes).train(False)


def _cut_before(task: Task) -> list[Facts]:
    """Rows of the waterfall of a network that is narrow from the start: the whole one, and what it is trained with."""
    whole = task.inputs["whole"]
    if whole is None:
        return []
    given: Given = task.given
    shape, classes = given.test.image_shape, given.test.classes
    wide, narrow = (
        account(graph, graph).dense()
        for width in (whole, task.inputs["width"])
        for graph in [as_model(reference_network(task.inputs["network"], width=width, classes=classes), shape).graph]
    )
    rows = [wide.row(Stage.DENSE.value)]
    return [*rows, against(narrow.row("widths"), rows)]


def _before(task: Task) -> Model:
    """What the step before left; the first step of a row starts from the dense network."""
    return Model.load(task.before) if task.before else dense_of(task)


def _keep(model: Model, task: Task, *sections: str) -> Facts:
    """Save `model`, made with the options of `sections`; its history is in it, so there is nothing to note."""
    given: Given = task.given
    if given.judged is not None:
        model = model.advance(model.graph, model.stage, judged=given.judged)
    model.save(task.place)
    # Learning rates and epochs of pruning are its steps' own.
    without = ("train.epochs", "train.lr") if {*METHODS, "finetune", QAT} & set(sections) else ()
    write_record(model, task.place, task.settings, applied("data", *sections, without=without))
    return {}


#: In the folder of the step `qat`: the integer network of the floats that it began with.
ROUNDED = "rounded"

TRAIN = Step(
    name="train", place="stages/train", run=train, options=("data", "train"), inputs=("network", "width", "whole")
)
LOAD = Step(name="train", place="stages/train", run=load, options=("data", "weights"), inputs=("network",))
NARROW = Step(name=WIDTHS, place="stages/widths", run=narrow, options=("data", "widths", "array", "quantize"))
TRAIN_INTEGERS = Step(name=QAT, place="stages/qat", run=qat, options=("data", "train", "quantize", QAT))
#: The steps of pruning, by name.
PRUNING = {
    PruneStep.SHRINK: Step(
        name="shrink", place="stages/shrink", run=shrink, options=("data", "train", "shrink", "array", "quantize")
    ),
    PruneStep.ADMM: Step(name="admm", place="stages/admm", run=admm, options=("data", "train", "admm")),
    PruneStep.PURIFY: Step(name="purify", place="stages/purify", run=purify, options=("data", "purify")),
    PruneStep.COMPACT: Step(name="compact", place="stages/compact", run=compact, options=("data", "purify")),
    PruneStep.FINETUNE: Step(
        name="finetune", place="stages/finetune", run=finetune, options=("data", "train", "finetune")
    ),
}
