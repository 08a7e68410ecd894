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
    from hwprm.compile import CycleReport
    from hwprm.config import (
        AdmmConfig,
        ArrayConfig,
        DataConfig,
        EmitConfig,
        MemoryConfig,
        PurifyConfig,
        QuantizeConfig,
        TrainConfig,
        VerifyConfig,
        WidthsConfig,
    )
    from hwprm.data import Dataset
    from hwprm.frontend import Finding
    from hwprm.graph import Graph, Shapes
    from hwprm.intnet import IntegerNetwork
    from hwprm.matrix import Tool
    from hwprm.model import Model
    from hwprm.prune.narrow import Meter
    from hwprm.prune.widths import Widths
    from hwprm.sources import Split
    from hwprm.train import Checkpoint
    from hwprm.verify import VerifyReport

    Data = Dataset | Split | DataConfig | str | Path
    Network = nn.Module | Graph | Model | str | Path
    Progress = Callable[[str, int, int, Mapping[str, float]], None]

__all__ = ["check", "compile", "doctor", "estimate", "prune", "quantize", "report", "train", "verify", "widths"]

Stop = Literal["admm", "purify", "compact"]
#: Images that calibrate the networks whose cycles a search for widths counts; scales hardly matter to cycles.
METERED = 8


def train(
    network: Network = "lenet5",
    data: Data = "mnist",
    config: TrainConfig | None = None,
    *,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Model:
    """Train `network` on `data`; a model that was pruned keeps its zeros.

    `progress` is called as `hwprm.train.Progress` says; with a `checkpoint` an interrupted call can be taken up.
    Raises DataError and InputError for unusable input, UnsupportedError for an operator that hwprm lacks, ModelError
    when training diverges.
    """
    from hwprm.config import TrainConfig
    from hwprm.sources import as_dataset, as_model, title
    from hwprm.train import train as run
    from hwprm.train.progress import silent

    config = config or TrainConfig()
    dataset = as_dataset(data)
    model = as_model(network, dataset.image_shape, config.seed)
    done = run(model, dataset, config, progress=progress or silent, checkpoint=checkpoint)
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
    ``config.cut`` the narrowed model. Raises what `hwprm.prune.widths.find_widths` raises.
    """
    from hwprm.config import WidthsConfig
    from hwprm.prune.widths import find_widths
    from hwprm.sources import as_dataset, as_model
    from hwprm.train.progress import silent

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
    purify: PurifyConfig | None = None,
    train: TrainConfig | None = None,
    stop_after: Stop = "compact",
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Model:
    """Structured ADMM, then P-RM, then compaction: from the stage that `model` has on, up to `stop_after`.

    `train` gives batch, seed, threads, augmentation and optimiser of ADMM and of its retraining.
    Thresholds that P-RM finds by itself are judged on the validation images of `data`
    (``DataConfig(validation=1000)`` holds a thousand out), else on the training images.
    """
    from hwprm.model import Stage
    from hwprm.sources import as_model, as_split

    split = as_split(data)
    model = as_model(model, split.dataset.image_shape)
    if model.stage is Stage.DENSE:
        model = _admm(model, split, admm, train, progress, checkpoint)
    if stop_after != "admm" and model.stage is Stage.ADMM:
        model = _purify(model, split, purify, progress)
    if stop_after == "compact" and model.stage is Stage.PURIFIED:
        model = _compact(model, split)
    return model


def quantize(
    model: Network, data: Data = "mnist", config: QuantizeConfig | None = None, *, name: str | None = None
) -> IntegerNetwork:
    """The integer network of `model`, its scales calibrated with the training images of `data`.

    Raises ModelError when an accumulator cannot be held, DataError when the images do not fit.
    """
    from hwprm.sources import as_network

    return as_network(model, data, config, name)


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

    Zero filters and columns of the network are compacted away exactly. The test images of `data` become the bundle's.
    Raises InputError when `out` is not empty or cannot be made, ConfigError when the array cannot hold the network.
    """
    from hwprm.compile import compile_network
    from hwprm.config import ArrayConfig, EmitConfig
    from hwprm.emit import emit_bundle
    from hwprm.folders import check_output
    from hwprm.quantize import quantise_images
    from hwprm.sources import as_dataset, as_network

    check_output(Path(out))
    dataset = as_dataset(data)
    net = as_network(source, dataset, quantize)
    count = (emit or EmitConfig()).images
    images = quantise_images(dataset.x_test[:count], dataset.input_scale, net)
    program = compile_network(net, array or ArrayConfig())
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
    from hwprm.verify import verify_bundle

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
    from hwprm.compile import estimate as run
    from hwprm.config import ArrayConfig
    from hwprm.sources import array_of, as_network, holds

    if array is None and (isinstance(source, Bundle) or holds(source) == "bundle"):
        array = array_of(source if isinstance(source, Bundle) else Bundle.load(Path(str(source))))
    net = as_network(source, data, quantize)
    return run(net, array or ArrayConfig(), memory)


def check(source: nn.Module | str | Path, image_shape: Shapes | None = None) -> list[Finding]:
    """Everything in a torch module or a .pt2 file that hwprm cannot compile, at once, and notes.

    A module needs `image_shape` ``(C, H, W)``, of several inputs by the names of ``forward``'s arguments. Raises
    ModelError when a file is no exported program.
    """
    from hwprm.frontend import check as run
    from hwprm.frontend import load_pt2

    return run(load_pt2(source) if isinstance(source, str | Path) else source, image_shape)


def report(folder: Path | str, *, html: Path | str | None = None) -> dict[str, Any]:
    """What is known about a run folder, a model, an integer network or a bundle; docs/report.md lists the keys.

    Writes it as one self-contained page to the file `html` too, where that is given.
    Raises InputError when the folder holds none of them, or `html` cannot be written.
    """
    from hwprm.report import describe
    from hwprm.report.page import write_page

    if html is not None:
        write_page(Path(folder), Path(html))
    return describe(Path(folder))


def doctor() -> tuple[Tool, ...]:
    """The tools that hwprm needs, as installed here, against the tested matrix."""
    from hwprm.matrix import survey

    return survey()


def _meter(cost: str, data: Dataset, array: ArrayConfig | None, quantize: QuantizeConfig | None) -> Meter:
    from hwprm.config import ArrayConfig, QuantizeConfig
    from hwprm.prune.narrow import Meter, count_macs, count_weights, even_weights

    if cost != "cycles":
        return Meter(name=cost, of=count_macs if cost == "macs" else count_weights)
    array, quantize = array or ArrayConfig(), quantize or QuantizeConfig()
    few = replace(quantize, images=min(quantize.images, METERED))

    def cycles(graph: Graph) -> dict[str, int]:
        report = estimate(even_weights(graph), array, data=data, quantize=few)
        return {layer.name: layer.cycles for layer in report.layers}

    return Meter(name=cost, of=cycles, grain=array.cols)


def _admm(
    model: Model,
    split: Split,
    config: AdmmConfig | None,
    train: TrainConfig | None,
    progress: Progress | None,
    checkpoint: Checkpoint | None,
) -> Model:
    from hwprm.config import AdmmConfig
    from hwprm.prune.admm import admm
    from hwprm.train.progress import silent

    told = progress or silent
    return admm(model, split.dataset, config or AdmmConfig(), train=train, progress=told, checkpoint=checkpoint)


def _purify(model: Model, split: Split, config: PurifyConfig | None, progress: Progress | None) -> Model:
    from hwprm.config import PurifyConfig
    from hwprm.prune.purification import purify
    from hwprm.train import accuracy

    data = split.dataset
    images = data.x_train if split.x_validation is None else split.x_validation
    labels = data.y_train if split.y_validation is None else split.y_validation

    def evaluate(graph: Graph) -> float:
        return accuracy(graph, images, labels, data.input_scale)

    return _measured(purify(model, config or PurifyConfig(), evaluate, progress), split)


def _compact(model: Model, split: Split) -> Model:
    from hwprm.prune.compaction import compact

    return _measured(compact(model), split)


def _measured(model: Model, split: Split) -> Model:
    """`model` with its accuracy on the test split, where its stage did not measure that itself."""
    from hwprm.train import accuracy

    data = split.dataset
    percent = accuracy(model.graph, data.x_test, data.y_test, data.input_scale)
    return model.advance(model.graph, model.stage, accuracy={model.stage.value: percent})
