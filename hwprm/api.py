"""The verbs as functions. Each takes and returns the nouns of docs/architecture.md; none writes to the terminal.

The main job, `demo`, is in `hwprm.pipeline`, which stands on these.

>>> import hwprm
>>> model = hwprm.train("lenet5", "mnist")
>>> small = hwprm.prune(model, "mnist")
>>> net = hwprm.quantize(small, "mnist")
>>> bundle = hwprm.compile(net, "mnist", out="bundle")
>>> hwprm.verify(bundle).ok
True
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

    from hwprm.bundle import Bundle
    from hwprm.compiler import CycleReport
    from hwprm.config import (
        AdmmConfig,
        ArrayConfig,
        DataConfig,
        EmitConfig,
        FinetuneConfig,
        MemoryConfig,
        PurifyConfig,
        QuantizeConfig,
        ShrinkConfig,
        TrainConfig,
        VerifyConfig,
        WeightsConfig,
        WidthsConfig,
    )
    from hwprm.core.versions import Tool
    from hwprm.data import Dataset
    from hwprm.frontend import Finding
    from hwprm.graph import Graph, Shapes
    from hwprm.intnet import IntegerNetwork
    from hwprm.model import Model
    from hwprm.model.plan import Plan
    from hwprm.pruning.channels.blocks import Meter
    from hwprm.pruning.widths.widths import Widths
    from hwprm.sources import Split
    from hwprm.training import Checkpoint
    from hwprm.verification import VerifyReport

    Data = Dataset | Split | DataConfig | str | Path
    Network = nn.Module | Graph | Model | str | Path
    Progress = Callable[[str, int, int, Mapping[str, float]], None]

__all__ = [
    "apply_plan",
    "check",
    "compile",
    "doctor",
    "estimate",
    "export",
    "load",
    "prune",
    "quantize",
    "report",
    "train",
    "verify",
    "widths",
]

Stop = Literal["admm", "shrink", "purify", "compact", "finetune"]
#: Images that calibrate the networks whose cycles a search for widths counts; scales hardly matter to cycles.
METERED = 8
#: Calibration images on which the two references are compared.
CROSSCHECKED = 4


def load(network: str, file: Path | str, config: WeightsConfig | None = None) -> Model:
    """The reference network called `network` with the weights in `file`, a public checkpoint with torchvision's names.

    With a mean and a standard deviation in `config` the network normalises its images itself, exactly, and reads them
    as they are stored. Raises InputError for an unknown name, ModelError that lists everything that does not fit.
    """
    from hwprm.config import WeightsConfig
    from hwprm.core.files import digest_of
    from hwprm.frontend import fill, normalised, read_weights, to_graph
    from hwprm.model import Model, Stage
    from hwprm.nets import image_shape, reference_network

    config, file = config or WeightsConfig(), Path(file)
    module = reference_network(network, width=config.width, classes=config.classes)
    channels, *sides = image_shape(network)
    size = (config.image_size, config.image_size) if config.image_size else tuple(sides)
    fill(module, read_weights(file), str(file))
    graph = to_graph(module.eval(), (channels, *size))
    if config.mean is not None and config.std is not None:
        graph = normalised(graph, config.mean, config.std)
    source = {"file": file.name, "sha256": digest_of(file)}
    return Model(graph=graph, stage=Stage.DENSE, meta={"name": network, "weights": source})


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

    `progress` is called as `hwprm.train.Progress` says; with a `checkpoint` an interrupted call can be taken up.
    Raises DataError and InputError for unusable input, UnsupportedError for an operator that hwprm lacks, ModelError
    when training diverges.
    """
    from hwprm.config import TrainConfig
    from hwprm.core.progress import silent
    from hwprm.sources import as_dataset, as_model, title
    from hwprm.training import train as run

    config = config or TrainConfig()
    dataset = as_dataset(data)
    model = as_model(network, dataset.image_shape, config.seed)
    taught = None if teacher is None else _teacher(teacher, dataset.image_shape)
    graph = taught.graph if taught else None
    done = run(model, dataset, config, progress=progress or silent, checkpoint=checkpoint, teacher=graph)
    done = _noted(done, taught)
    return done.advance(done.graph, done.stage, name=done.meta.get("name", title(network)))


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

    config = config or WidthsConfig()
    dataset = as_dataset(data)
    model = as_model(model, dataset.image_shape)
    meter = _meter(config.cost, dataset, array, quantize)
    return find_widths(model, dataset, config, meter, progress=progress or silent)


def prune(
    model: Network,
    data: Data = "mnist",
    *,
    admm: AdmmConfig | None = None,
    shrink: ShrinkConfig | None = None,
    purify: PurifyConfig | None = None,
    finetune: FinetuneConfig | None = None,
    train: TrainConfig | None = None,
    teacher: Network | None = None,
    stop_after: Stop = "finetune",
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Model:
    """ADMM (or, where `shrink` is given, shrinking), then P-RM, compaction, fine-tuning: from `model`'s stage on.

    The last step is `stop_after`; a compact model is fine-tuned where `finetune` asks for epochs, again if need be.
    `train` gives batch, seed, threads, augmentation and optimiser of every step that trains.
    The outputs of `teacher` join the loss of each; without one, a dense `model` teaches its own shrinking and
    fine-tuning, and ADMM is as in the papers.
    Thresholds that P-RM finds by itself are judged on the validation images of `data`
    (``DataConfig(validation=1000)`` holds a thousand out), else on the training images.
    Raises ConfigError when `stop_after` names the other method, and what the steps raise.
    """
    from hwprm.core.errors import ConfigError
    from hwprm.model import MASKED, Stage
    from hwprm.sources import as_model, as_split

    method = "admm" if shrink is None else "shrink"
    if stop_after in ("admm", "shrink") and stop_after != method:
        raise ConfigError(f"prune is to stop after {stop_after}, but its method is {method}; let both be the same")
    split = as_split(data)
    model = as_model(model, split.dataset.image_shape)
    taught = None if teacher is None else _teacher(teacher, split.dataset.image_shape)
    own = model if taught is None and model.stage is Stage.DENSE else taught
    if model.stage is Stage.DENSE:
        if shrink is not None:
            model = _shrink(model, split, shrink, train, progress, checkpoint, own)
        else:
            model = _admm(model, split, admm, train, progress, checkpoint, taught)
    if stop_after in ("purify", "compact", "finetune") and model.stage in MASKED:
        model = _purify(model, split, purify, progress)
    if stop_after in ("compact", "finetune") and model.stage is Stage.PURIFIED:
        model = _compact(model, split)
    if stop_after == "finetune" and model.stage is Stage.COMPACT and finetune is not None and finetune.epochs:
        model = _finetune(model, split, finetune, train, progress, checkpoint, own)
    return model


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


def quantize(
    model: Network, data: Data = "mnist", config: QuantizeConfig | None = None, *, name: str | None = None
) -> IntegerNetwork:
    """The integer network of `model`, its scales calibrated with the training images of `data`.

    The references in torch and in numpy compute its first calibration images and are compared in every integer.
    Raises ModelError when an accumulator cannot be held, DataError when the images do not fit, MismatchError when the
    references differ.
    """
    return _integers(model, data, config, name)


def compile(
    source: Network | IntegerNetwork,
    data: Data = "mnist",
    *,
    out: Path | str,
    array: ArrayConfig | None = None,
    quantize: QuantizeConfig | None = None,
    emit: EmitConfig | None = None,
) -> Bundle:
    """Quantise where needed, compile for `array`, and emit the new folder `out`: Verilog, ROMs, test bench, images.

    Zero filters and columns of the network are removed exactly. The test images of `data` become the bundle's.
    Raises InputError when `out` is not empty or cannot be made, ConfigError when the array cannot hold the network,
    PassError when the compiler itself changes an integer on the first of the images.
    """
    from hwprm.compiler import compile_network
    from hwprm.config import ArrayConfig, EmitConfig
    from hwprm.core.files import check_output
    from hwprm.emission import emit_bundle
    from hwprm.quantization import quantise_images
    from hwprm.sources import as_dataset

    check_output(Path(out))
    dataset = as_dataset(data)
    net = _integers(source, dataset, quantize)
    count = (emit or EmitConfig()).images
    images = quantise_images(dataset.x_test[:count], dataset.input_scale, net)
    program = compile_network(net, array or ArrayConfig(), images=images)
    labels = dataset.test_labels
    return emit_bundle(program, images, None if labels is None else labels[:count], Path(out))


def verify(
    bundle: Bundle | Path | str,
    config: VerifyConfig | None = None,
    *,
    memory: MemoryConfig | None = None,
    junit: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> VerifyReport:
    """Simulate `bundle` and compare every integer with the reference; write JUnit results to `junit`.

    `memory` is how fast the testbench's external memory is, for a design that reads one.
    `progress` is told in a line what comes next, and steps done and in all. A mismatch is in the report (``ok``,
    ``raise_on_failure()``).

    Raises BundleError for an incomplete or edited bundle, ToolError when the simulator is missing.
    """
    from hwprm.bundle import Bundle
    from hwprm.config import VerifyConfig
    from hwprm.verification import verify_bundle

    folder = bundle.folder if isinstance(bundle, Bundle) else Path(bundle)
    return verify_bundle(folder, config or VerifyConfig(), memory=memory, junit=junit, progress=progress)


def estimate(
    source: Network | IntegerNetwork | Bundle,
    array: ArrayConfig | None = None,
    *,
    data: Data = "mnist",
    quantize: QuantizeConfig | None = None,
    memory: MemoryConfig | None = None,
) -> CycleReport:
    """Exact cycles per layer and per image, the promise and the bound, without emitting or simulating.

    `data` calibrates a float model; integer networks and bundles do not need it. Without `array` a bundle is counted
    for its own, anything else for 8 x 8. `memory` is what an array with external weights waits for.
    """
    from hwprm.bundle import Bundle
    from hwprm.compiler import estimate as run
    from hwprm.config import ArrayConfig
    from hwprm.sources import array_of, as_network, holds

    own = array is None and (isinstance(source, Bundle) or holds(source) == "bundle")
    if own:
        array = array_of(source if isinstance(source, Bundle) else Bundle.load(Path(str(source))))
    net = as_network(source, data, quantize)
    return run(net, array or ArrayConfig(), memory, as_is=own)


def check(source: nn.Module | str | Path, image_shape: Shapes | None = None) -> list[Finding]:
    """Everything in a torch module or a .pt2 file that hwprm cannot compile, at once, and notes.

    A module needs `image_shape` ``(C, H, W)``, of several inputs by the names of ``forward``'s arguments. Raises
    ModelError when a file is no exported program.
    """
    from hwprm.frontend import check as run
    from hwprm.frontend import load_pt2

    return run(load_pt2(source) if isinstance(source, str | Path) else source, image_shape)


def report(folder: Path | str, *, html: Path | str | None = None) -> dict[str, Any]:
    """What is known about a run, a row, a model, an integer network, a bundle or widths; docs/report.md lists the keys.

    Writes it as one self-contained page to the file `html` too, where that is given.
    Raises InputError when the folder holds none of them, or `html` cannot be written.
    """
    from hwprm.reporting import describe
    from hwprm.reporting.page import write_page

    if html is not None:
        write_page(Path(folder), Path(html))
    return describe(Path(folder))


def doctor() -> tuple[Tool, ...]:
    """The tools that hwprm needs, as installed here, against the tested matrix."""
    from hwprm.core.versions import survey

    return survey()


def _integers(
    source: Network | IntegerNetwork, data: Data, config: QuantizeConfig | None, name: str | None = None
) -> IntegerNetwork:
    """`source` as integers; where it is quantised here, with both references compared on `CROSSCHECKED` images."""
    from hwprm.bundle import Bundle
    from hwprm.intnet import IntegerNetwork
    from hwprm.sources import as_dataset, as_network, holds

    if isinstance(source, IntegerNetwork | Bundle) or holds(source) in ("network", "bundle"):
        return as_network(source, data, config, name)
    from hwprm.graph import plain
    from hwprm.quantization import crosscheck, quantise_images  # these need torch, which integers do without

    dataset = as_dataset(data)
    net = as_network(source, dataset, config, name)
    images = quantise_images(plain(dataset.x_train)[:CROSSCHECKED], dataset.input_scale, net)
    crosscheck(net, images)
    return replace(net, crosschecked=len(images))


def _meter(cost: str, data: Dataset, array: ArrayConfig | None, quantize: QuantizeConfig | None) -> Meter:
    from hwprm.config import ArrayConfig, QuantizeConfig
    from hwprm.pruning.channels.blocks import Meter, count_macs, count_weights, even_weights

    if cost != "cycles":
        return Meter(name=cost, of=count_macs if cost == "macs" else count_weights)
    array, quantize = array or ArrayConfig(), quantize or QuantizeConfig()
    few = replace(quantize, images=min(quantize.images, METERED))

    def cycles(graph: Graph) -> dict[str, int]:
        report = estimate(even_weights(graph), array, data=data, quantize=few)
        return {layer.name: layer.cycles for layer in report.layers}

    return Meter(name=cost, of=cycles, grain=array.cols)


def _teacher(source: Network, image_shape: Shapes) -> Model:
    from hwprm.sources import as_model, title

    model = as_model(source, image_shape)
    return model.advance(model.graph, model.stage, name=model.meta.get("name", title(source)))


def _noted(model: Model, teacher: Model | None) -> Model:
    """`model` with the name of its `teacher` and the SHA-256 that the teacher's ``weights.safetensors`` has."""
    if teacher is None:
        return model
    note = {"name": teacher.meta.get("name", "network"), "sha256": teacher.graph.weights_digest}
    return model.advance(model.graph, model.stage, teacher=note)


def _admm(
    model: Model,
    split: Split,
    config: AdmmConfig | None,
    train: TrainConfig | None,
    progress: Progress | None,
    checkpoint: Checkpoint | None,
    teacher: Model | None,
) -> Model:
    from hwprm.config import AdmmConfig
    from hwprm.core.progress import silent
    from hwprm.pruning.admm.admm import admm

    done = admm(
        model,
        split.dataset,
        config or AdmmConfig(),
        train=train,
        progress=progress or silent,
        checkpoint=checkpoint,
        teacher=teacher.graph if teacher else None,
    )
    return _noted(done, teacher)


def _shrink(
    model: Model,
    split: Split,
    config: ShrinkConfig,
    train: TrainConfig | None,
    progress: Progress | None,
    checkpoint: Checkpoint | None,
    teacher: Model | None,
) -> Model:
    from hwprm.core.progress import silent
    from hwprm.pruning.shrinking.shrink import shrink

    done = shrink(
        model,
        split.dataset,
        config,
        train=train,
        progress=progress or silent,
        checkpoint=checkpoint,
        teacher=teacher.graph if teacher else None,
    )
    return _noted(done, teacher)


def _finetune(
    model: Model,
    split: Split,
    config: FinetuneConfig,
    train: TrainConfig | None,
    progress: Progress | None,
    checkpoint: Checkpoint | None,
    teacher: Model | None,
) -> Model:
    from hwprm.config import TrainConfig
    from hwprm.core.progress import silent
    from hwprm.training import finetune

    done = finetune(
        model,
        split.dataset,
        config.over(train or TrainConfig()),
        progress=progress or silent,
        checkpoint=checkpoint,
        teacher=teacher.graph if teacher else None,
    )
    return _noted(done, teacher)


def _purify(model: Model, split: Split, config: PurifyConfig | None, progress: Progress | None) -> Model:
    from hwprm.config import PurifyConfig
    from hwprm.graph import plain
    from hwprm.pruning.prm.purification import purify
    from hwprm.training import accuracy

    data = split.dataset
    images = plain(data.x_train) if split.x_validation is None else split.x_validation
    labels = data.y_train if split.y_validation is None else split.y_validation

    def evaluate(graph: Graph) -> float:
        return accuracy(graph, images, labels, data.input_scale)

    return _measured(purify(model, config or PurifyConfig(), evaluate, progress), split)


def _compact(model: Model, split: Split) -> Model:
    from hwprm.pruning.compaction.compaction import compact

    return _measured(compact(model), split)


def _measured(model: Model, split: Split) -> Model:
    """`model` with its accuracy on the test split, where its stage did not measure that itself."""
    from hwprm.training import accuracy

    data = split.dataset
    percent = accuracy(model.graph, data.x_test, data.y_test, data.input_scale)
    return model.advance(model.graph, model.stage, accuracy={model.stage.value: percent})
