"""Verbs that make networks smaller: load, train, widths, prune, export, apply_plan."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hwprm.api.hardware import estimate
from hwprm.api.teachers import given_teacher, noted
from hwprm.core.extras import says_what_it_lacks

if TYPE_CHECKING:
    from torch import nn

    from hwprm.config import (
        AdmmConfig,
        ArrayConfig,
        DataConfig,
        PruneOptions,
        PurifyConfig,
        QuantizeConfig,
        ShrinkConfig,
        TrainConfig,
        WeightsConfig,
        WidthsConfig,
    )
    from hwprm.core.progress import Progress
    from hwprm.data import Dataset
    from hwprm.graph import Graph
    from hwprm.model import Model
    from hwprm.model.plan import Plan
    from hwprm.pruning.channels.blocks import Meter
    from hwprm.pruning.sensitivity import Cut
    from hwprm.pruning.widths.widths import Widths
    from hwprm.sources import Split
    from hwprm.training import Checkpoint, Context

    Data = Dataset | Split | DataConfig | str | Path
    Network = nn.Module | Graph | Model | str | Path


__all__ = [
    "apply_plan",
    "count_meters",
    "export",
    "load",
    "prune",
    "sensitivity",
    "train",
    "widths",
    "widths_meter",
]

#: Images that calibrate the networks whose cycles a search for widths counts; scales hardly matter to cycles.
METERED = 8


@says_what_it_lacks
def load(network: str, file: Path | str, config: WeightsConfig | None = None) -> Model:
    """The reference network called `network` with the weights in `file`, a public checkpoint with torchvision's names.

    With a mean and a standard deviation in `config` the network normalises its images itself, exactly, and reads them
    as they are stored. Raises InputError for an unknown name, ModelError that lists everything that does not fit.
    """
    from hwprm.config import WeightsConfig
    from hwprm.core.files import digest_of
    from hwprm.frontend import fill, normalised, read_weights, to_graph
    from hwprm.model import History, Model, Stage
    from hwprm.nets import image_shape, reference_network

    config, file = WeightsConfig.given(config), Path(file)
    module = reference_network(network, width=config.width, classes=config.classes)
    channels, *sides = image_shape(network)
    size = (config.image_size, config.image_size) if config.image_size else tuple(sides)
    fill(module, read_weights(file), str(file))
    graph = to_graph(module.eval(), (channels, *size))
    if config.mean is not None and config.std is not None:
        graph = normalised(graph, config.mean, config.std)
    source = {"file": file.name, "sha256": digest_of(file)}
    return Model(graph=graph, stage=Stage.DENSE, meta=History(name=network, weights=source))


@says_what_it_lacks
def train(
    network: Network = "lenet5",
    data: Data = "mnist",
    config: TrainConfig | None = None,
    *,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
    teacher: Network | None = None,
) -> Model:
    """Train `network` on `data`; a model that was pruned keeps its zeros. The outputs of a `teacher` join the loss.

    `progress` is told as `hwprm.core.progress` says; with a `checkpoint` an interrupted call can be taken up.
    Raises DataError and InputError for unusable input, UnsupportedError for an operator that hwprm lacks, ModelError
    when training diverges.
    """
    from hwprm.config import TrainConfig
    from hwprm.core.progress import silent
    from hwprm.sources import as_model, as_split, title
    from hwprm.training import Context
    from hwprm.training import train as run

    config = TrainConfig.given(config)
    split = as_split(data)
    dataset = split.dataset
    model = as_model(network, dataset.image_shape, config.seed)
    taught = None if teacher is None else given_teacher(teacher, dataset)
    context = Context(config=config, progress=progress or silent, checkpoint=checkpoint, held_out=split.held_out)
    done = noted(run(model, dataset, _taught(context, taught)), taught)
    return done.advance(done.graph, done.stage, name=done.meta.get("name", title(network)))


@says_what_it_lacks
def widths(
    model: Network,
    data: Data = "mnist",
    config: WidthsConfig | None = None,
    *,
    array: ArrayConfig | None = None,
    quantize: QuantizeConfig | None = None,
    progress: Progress | None = None,
) -> Widths:
    """How many channels each layer of a trained, dense `model` keeps under one budget for all of it; docs/widths.md.

    With ``config.cost = "cycles"`` the cost is that of `estimate` for `array` and `quantize`, stalls left out.
    ``save(folder)`` of the result writes ``widths.json``, ``widths.toml`` (budgets for `prune`), and with
    ``config.cut`` the narrowed model. Raises what `hwprm.pruning.widths.widths.find_widths` raises.
    """
    from hwprm.config import WidthsConfig
    from hwprm.core.progress import silent
    from hwprm.pruning.widths.widths import find_widths
    from hwprm.sources import as_dataset, as_model

    config = WidthsConfig.given(config)
    dataset = as_dataset(data)
    model = as_model(model, dataset.image_shape)
    meter = widths_meter(config, dataset, array, quantize)
    return find_widths(model, dataset, config, meter, progress=progress or silent)


@says_what_it_lacks
def prune(
    model: Network,
    data: Data = "mnist",
    options: PruneOptions | None = None,
    *,
    teacher: Network | None = None,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Model:
    """ADMM or shrinking, then P-RM, compaction, fine-tuning: from `model`'s stage on, as `options` say.

    A compact model is fine-tuned where ``options.finetune`` asks for epochs, again if need be.
    The outputs of `teacher` join the loss of each step that trains; without one, a dense `model` teaches its own
    shrinking and fine-tuning, and ADMM is as in the papers.
    Thresholds that P-RM finds by itself are judged on the validation images of `data`
    (``DataConfig(validation=1000)`` holds a thousand out), else on the training images.
    Raises what the steps raise.
    """
    from hwprm.config import AdmmConfig, PruneOptions, TrainConfig
    from hwprm.config.steps import PruneStep
    from hwprm.core.progress import silent
    from hwprm.model import Stage, steps_from
    from hwprm.pruning.admm.admm import admm as run_admm
    from hwprm.sources import as_model, as_split
    from hwprm.training import Context
    from hwprm.training import finetune as run_finetune

    options = PruneOptions.given(options)
    split = as_split(data)
    model = as_model(model, split.dataset.image_shape)
    taught = None if teacher is None else given_teacher(teacher, split.dataset)
    own = model if taught is None and model.stage is Stage.DENSE else taught
    config = TrainConfig.given(options.train)
    context = Context(config=config, progress=progress or silent, checkpoint=checkpoint, held_out=split.held_out)
    data = split.dataset
    for step in steps_from(model.stage, options.method, PruneStep(options.stop_after)):
        match step:
            case PruneStep.SHRINK:
                model = _shrunk(model, data, options, _taught(context, own), own)
            case PruneStep.ADMM:
                admm = AdmmConfig.given(options.admm)
                meters = count_meters(admm, data, options.array, options.quantize)
                model = noted(run_admm(model, data, admm, _taught(context, taught), meters=meters), taught)
            case PruneStep.PURIFY:
                model = _purify(model, split, options.purify, progress)
            case PruneStep.COMPACT:
                model = _compact(model, split)
            case PruneStep.FINETUNE if options.finetune is not None and options.finetune.epochs:
                tuned = replace(context, config=options.finetune.over(config))
                model = noted(run_finetune(model, data, _taught(tuned, own)), own)
    return model


@says_what_it_lacks
def sensitivity(
    model: Network,
    data: Data = "mnist",
    *,
    array: ArrayConfig | None = None,
    quantize: QuantizeConfig | None = None,
    progress: Progress | None = None,
) -> list[Cut]:
    """What each layer of `model` loses in accuracy for the cycles that it saves, cut alone and not trained again.

    Cycles are those of `estimate` for `array` and `quantize`, stalls included. Accuracy is that on the validation
    images of `data` (``DataConfig(validation=1000)`` holds a thousand out), else on the test images. Raises DataError
    without labels.
    """
    from hwprm.graph import plain
    from hwprm.pruning.sensitivity import sensitivity as run
    from hwprm.sources import as_model, as_split

    split = as_split(data)
    dataset = split.dataset
    images, labels = split.held_out or (plain(dataset.x_test), dataset.y_test)
    graph = as_model(model, dataset.image_shape).graph
    meter = cycle_meter(dataset, array, quantize)
    return run(graph, images, labels, dataset.input_scale, meter, progress=progress)


def export(model: Model | str | Path, *, out: Path | str) -> Plan:
    """Write `model` into the new folder `out` as ``plan.json`` and ``weights.safetensors``, and return its plan.

    Every verb reads such a folder like a model folder; docs/import.md describes it for other readers.
    Raises InputError when `out` is not empty, ModelError when `model` is no model or does not know its plan.
    """
    from hwprm.core.files import check_output, new_folder
    from hwprm.model.plan import Plan, save_export
    from hwprm.sources import as_model

    check_output(Path(out))
    made = as_model(model, ())
    with new_folder(Path(out)) as folder:
        save_export(made, folder)
    return Plan.of(made)


@says_what_it_lacks
def apply_plan(network: nn.Module | Model | str | Path, plan: Plan | Model | str | Path) -> nn.Module | Model:
    """`network`, not pruned, with zeros where `plan` kept nothing: a masked copy of the same shapes.

    `network` is a torch module (its copy is returned), a model or a model folder; `plan` is a plan, the model that was
    pruned, or its folder, or a file ``plan.json``. Weights that the plan does not keep become zero, and biases of
    the rows that are gone. A dense model becomes one of stage admm, so that `prune` and `train` keep its zeros.
    Raises ModelError, naming the layers, when the plan belongs to another network.
    """
    from torch import nn

    from hwprm.model import Stage
    from hwprm.pruning.compaction.planned import mask_graph, mask_module
    from hwprm.sources import as_model, as_plan

    kept = as_plan(plan)
    if isinstance(network, nn.Module):
        return mask_module(network, kept)
    model = as_model(network, ())
    stage = Stage.ADMM if model.stage is Stage.DENSE else model.stage
    return model.advance(mask_graph(model.graph, kept), stage)


def widths_meter(
    config: WidthsConfig, data: Dataset, array: ArrayConfig | None, quantize: QuantizeConfig | None
) -> Meter:
    """What counts the cost that `config` names."""
    from hwprm.config import ArrayConfig, QuantizeConfig
    from hwprm.pruning.channels.blocks import Meter, count_macs, count_weights, even_weights

    cost = config.cost
    if cost != "cycles":
        return Meter(name=cost, of=count_macs if cost == "macs" else count_weights)
    array, quantize = ArrayConfig.given(array), QuantizeConfig.given(quantize)
    few = replace(quantize, images=min(quantize.images, METERED))

    def cycles(graph: Graph) -> dict[str, int]:
        report = estimate(even_weights(graph), array, data=data, quantize=few)
        return {layer.name: layer.cycles for layer in report.layers}

    return Meter(name=cost, of=cycles, grain=array.cols, key=repr((array, few)))


def _shrunk(model: Model, data: Dataset, options: PruneOptions, context: Context, own: Model | None) -> Model:
    from hwprm.pruning.shrinking.shrink import shrink

    assert options.shrink is not None
    meters = count_meters(options.shrink, data, options.array, options.quantize)
    return noted(shrink(model, data, options.shrink, context, meters=meters), own)


def count_meters(
    config: ShrinkConfig | AdmmConfig, data: Dataset, array: ArrayConfig | None, quantize: QuantizeConfig | None
) -> dict[str, Meter]:
    """What counts the hardware that `config` limits, by the counts' names, see `hwprm.targets.shares`.

    The graphs it is given keep their zeros, so weights alone say what is left.
    """
    return _meters(config.metered, data, array, quantize, config.target)


def cycle_meter(data: Dataset, array: ArrayConfig | None, quantize: QuantizeConfig | None) -> Meter:
    """What counts cycles as `estimate` does, stalls included."""
    return _meters(("cycles",), data, array, quantize, None)["cycles"]


def _meters(
    names: Sequence[str],
    data: Dataset,
    array: ArrayConfig | None,
    quantize: QuantizeConfig | None,
    target: str | None,
) -> dict[str, Meter]:
    """Meters of `names`; one graph after the other is compiled, once for all of them."""
    from hwprm.config import ArrayConfig, QuantizeConfig
    from hwprm.pruning.channels.blocks import Meter
    from hwprm.sources import as_network
    from hwprm.targets.shares import shares

    array, quantize = ArrayConfig.given(array), QuantizeConfig.given(quantize)
    few = replace(quantize, images=min(quantize.images, METERED))
    some = replace(data, x_train=data.x_train[:METERED], y_train=data.y_train[:METERED])
    last: list[tuple[Graph, dict[str, dict[str, int]]]] = []

    def of(graph: Graph, name: str) -> dict[str, int]:
        if not last or last[0][0] is not graph:
            last[:] = [(graph, shares(as_network(graph, some, few), array, names, target))]
        return last[0][1][name]

    key = repr((array, few)) + (target or "")
    return {
        name: Meter(name=name, of=partial(of, name=name), grain=array.cols, images=array.batch, key=key)
        for name in names
    }


def _taught(context: Context, teacher: Model | None) -> Context:
    return context if teacher is None else replace(context, teacher=teacher.graph)


def _purify(model: Model, split: Split, config: PurifyConfig | None, progress: Progress | None) -> Model:
    from hwprm.config import PurifyConfig
    from hwprm.graph import plain
    from hwprm.pruning.prm.purification import purify
    from hwprm.training.augment import Augmentation
    from hwprm.training.evaluate import in_class
    from hwprm.training.statistics import recalibrated

    data, started = split.dataset, time.perf_counter()
    images, labels = split.held_out or (plain(data.x_train), data.y_train)

    evaluate = partial(in_class, x=images, y=labels, input_scale=data.input_scale)
    config = PurifyConfig.given(config)
    done = purify(model, config, evaluate, progress)
    graph = recalibrated(done.graph, data, config.recalibrate, 0, Augmentation.noted(model.meta))
    return _measured(done.advance(graph, done.stage), split, started)


def _compact(model: Model, split: Split) -> Model:
    from hwprm.pruning.compaction.compaction import compact

    started = time.perf_counter()
    return _measured(compact(model), split, started)


def _measured(model: Model, split: Split, started: float) -> Model:
    """`model` with its accuracy on the test split and the seconds since `started`, which its stage did not note."""
    from hwprm.training import accuracy

    data = split.dataset
    percent = accuracy(model.graph, data.x_test, data.y_test, data.input_scale)
    spent = {model.stage.value: time.perf_counter() - started}
    return model.advance(model.graph, model.stage, accuracy={model.stage.value: percent}, seconds=spent)
