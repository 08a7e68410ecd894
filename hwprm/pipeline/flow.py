"""The main job: a LeNet-5 from random weights to RTL that is proven equal to it, as a tuple of named steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hwprm import api
from hwprm.core.errors import HwprmError
from hwprm.pipeline.step import Desk, Facts, Job, Step

if TYPE_CHECKING:
    from hwprm.model import Model
    from hwprm.sources import Split

__all__ = ["FLOW", "Given"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """What the flow starts from."""

    network: str
    split: Split


def _train(job: Job, desk: Desk) -> Facts:
    from hwprm.reporting.record.live import Watch

    given: Given = job.given
    config = job.settings.train
    watch = Watch(desk.tick)
    model = api.train(given.network, given.split, config, progress=watch, checkpoint=watch.checkpoint(desk.scratch))
    return _keep(model, job, desk, "train")


def _admm(job: Job, desk: Desk) -> Facts:
    from hwprm.reporting.record.live import Watch

    watch = Watch(desk.tick)
    model = api.prune(
        _load(job, "train"),
        job.given.split,
        admm=job.settings.admm,
        train=job.settings.train,
        stop_after="admm",
        progress=watch,
        checkpoint=watch.checkpoint(desk.scratch),
    )
    return _keep(model, job, desk, "train", "admm")


def _purify(job: Job, desk: Desk) -> Facts:
    model = api.prune(
        _load(job, "admm"), job.given.split, purify=job.settings.purify, stop_after="purify", progress=desk.tick
    )
    return _keep(model, job, desk, "purify")


def _compact(job: Job, desk: Desk) -> Facts:
    return _keep(api.prune(_load(job, "purify"), job.given.split), job, desk)


def _finetune(job: Job, desk: Desk) -> Facts:
    from hwprm.reporting.record.live import Watch

    watch = Watch(desk.tick)
    model = api.prune(
        _load(job, "compact"),
        job.given.split,
        finetune=job.settings.finetune,
        train=job.settings.train,
        teacher=_load(job, "train"),
        progress=watch,
        checkpoint=watch.checkpoint(desk.scratch),
    )
    return _keep(model, job, desk, "train", "finetune")


def _quantize(job: Job, desk: Desk) -> Facts:
    from hwprm.compiler import sum_bits
    from hwprm.pruning import account
    from hwprm.quantization import stored_accuracy

    given: Given = job.given
    data = given.split.dataset
    small = _load(job, "finetune")
    net = api.quantize(small, data, job.settings.quantize, name=given.network)
    net.save(desk.place)
    counts = account(
        small.graph,
        _load(job, "train").graph,
        weight_bits=net.weight_bits,
        bias_bits=max(sum_bits(net).values()),  # the hardware keeps biases at the width of the whole sum
    )
    return {
        "accuracy": {"integer": stored_accuracy(net, data.x_test, data.input_scale, data.y_test)},
        "waterfall": [counts.row("integer")],
    }


def _compile(job: Job, desk: Desk) -> Facts:
    settings = job.settings
    bundle = api.compile(
        job.out / "stages/quantize", job.given.split, out=desk.place, array=settings.array, emit=settings.emit
    )
    return {"design_hash": bundle.manifest.design_hash, "dense": _dense_cycles(job)}


def _dense_cycles(job: Job) -> Facts | None:
    """What the network would take before pruning, on the same array with accumulators as wide as that needs.

    None where the hardware cannot hold it at all: pruning may be what made it fit.
    """
    array = replace(job.settings.array, acc_bits=None)
    try:
        report = api.estimate(_load(job, "train"), array, data=job.given.split, quantize=job.settings.quantize)
    except HwprmError:
        return None
    return {"image": report.total, "layers": {layer.name: layer.cycles for layer in report.layers}}


def _verify(job: Job, desk: Desk) -> Facts:
    from hwprm.reporting import verify_facts

    def tell(line: str, done: int, total: int) -> None:
        desk.tick(line, done, total, {})

    report = api.verify(
        job.out / "bundle", job.settings.verify, memory=job.settings.memory, junit=desk.place, progress=tell
    )
    return verify_facts(report)


def _load(job: Job, step: str) -> Model:
    from hwprm.model import Model

    return Model.load(job.out / "stages" / step)


def _keep(model: Model, job: Job, desk: Desk, *sections: str) -> Facts:
    """Save `model`, made with the options of `sections`; its history is in it, so there is nothing to note."""
    from hwprm.reporting.record.record import applied, write_record

    model.save(desk.place)
    # Learning rates and epochs of ADMM and of fine-tuning are their own.
    without = ("train.epochs", "train.lr") if {"admm", "finetune"} & set(sections) else ()
    write_record(model, desk.place, job.settings, applied("data", *sections, without=without))
    return {}


TORCH_TOWER = ("core", "data", "graph", "nets", "training", "pruning")
GATE_TOWER = (
    *("core", "isa", "compiler", "gateware", "emission", "verification", "intnet", "bundle"),
    *("rtl_templates", "sim"),
)

FLOW = (
    Step(name="train", place="stages/train", run=_train, sections=("train",), packages=TORCH_TOWER),
    Step(name="admm", place="stages/admm", run=_admm, sections=("admm",)),
    Step(name="purify", place="stages/purify", run=_purify, sections=("purify",)),
    Step(name="compact", place="stages/compact", run=_compact),
    Step(name="finetune", place="stages/finetune", run=_finetune, sections=("finetune",)),
    Step(name="quantize", place="stages/quantize", run=_quantize, sections=("quantize",), packages=("quantization",)),
    Step(name="compile", place="bundle", run=_compile, sections=("array", "emit"), packages=GATE_TOWER),
    Step(name="verify", place="junit.xml", run=_verify, sections=("verify",)),
)
