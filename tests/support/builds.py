"""A finished run folder of a small network with a branch, made by the stages themselves, without training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hwprm import api
from hwprm.bundle import Bundle
from hwprm.compiler import accumulator_bits
from hwprm.config import ArrayConfig, PurifyConfig, Settings
from hwprm.data import load_dataset
from hwprm.graph import Add, Conv2d, Flatten, Graph, Input, Linear, MaxPool2d, Relu
from hwprm.model import Model, Stage
from hwprm.pruning import account
from hwprm.pruning.compaction.compaction import compact
from hwprm.pruning.prm.purification import purify
from hwprm.quantization import measure_quality
from hwprm.reporting import run_facts, verify_facts
from hwprm.reporting.facts.facts import QUALITY_FILE
from hwprm.verification import Case, VerifyReport, write_junit
from hwprm.verification.coverage.choose import as_stored

__all__ = ["branched_graph", "finished_run", "pruned_log", "trained_log", "verified"]

ARRAY = ArrayConfig(rows=3, cols=2)


def branched_graph(seed: int = 0) -> Graph:
    """conv 1->6 3x3, relu, [conv 6->6 3x3] summed with its input, relu, pool 2, flatten, fc 96->3; 8 x 8 images."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return (rng.normal(size=shape) / 3).astype(np.float32)

    pad = (1, 1, 1, 1)
    return Graph(
        (
            Input(name="image", inputs=(), shape=(1, 8, 8)),
            Conv2d(name="stem", inputs=("image",), weight=normal(6, 1, 3, 3), bias=normal(6), padding=pad),
            Relu(name="relu1", inputs=("stem",)),
            Conv2d(name="branch", inputs=("relu1",), weight=normal(6, 6, 3, 3), bias=normal(6), padding=pad),
            Add(name="sum", inputs=("branch", "relu1")),
            Relu(name="relu2", inputs=("sum",)),
            MaxPool2d(name="pool", inputs=("relu2",), kernel=(2, 2), stride=(2, 2)),
            Flatten(name="flat", inputs=("pool",)),
            Linear(name="fc", inputs=("flat",), weight=normal(3, 96), bias=normal(3)),
        ),
        ("fc",),
    )


def finished_run(out: Path, data: Path) -> Path:
    """Fill the new folder `out` with everything that a run leaves, its page excepted; `data` is a small ``.npz``."""
    models = _models()
    # Fine-tuned for no epoch: the compact model as it was.
    for name, model in zip(("train", "admm", "purify", "compact", "finetune"), (*models, models[-1]), strict=True):
        model.save(out / "stages" / name)
    dense, small = models[0].graph, models[-1].graph
    dataset = load_dataset(str(data))
    net = api.quantize(small, dataset, name="branched")
    net.save(out / "stages/quantize")
    quality = measure_quality(small, net, dataset.x_test, dataset.input_scale, dataset.test_labels)
    (out / "stages/quantize" / QUALITY_FILE).write_text(json.dumps(quality.to_json()))
    bundle = api.compile(net, dataset, out=out / "bundle", array=ARRAY)
    report = verified(bundle)
    write_junit(report, out / "junit.xml")
    before = api.estimate(dense, ARRAY, data=dataset)
    row = account(small, dense, weight_bits=8, bias_bits=max(accumulator_bits(net).values())).row("integer")
    done = {
        "quantize": {"accuracy": {"integer": 91.25}, "waterfall": [row]},
        "compile": {"dense": {"image": before.total, "layers": {layer.name: layer.cycles for layer in before.layers}}},
        "verify": verify_facts(report),
    }
    facts = run_facts(out, dataset, Settings(), done, {"train": 1.5, "verify": 2.5})
    (out / "run.json").write_text('{"format": "hwprm-run-1"}\n')
    (out / "report.json").write_text(json.dumps(facts, indent=1) + "\n")
    return out


def verified(bundle: Bundle, *failures: str) -> VerifyReport:
    """What verification of `bundle` reports: one case per layer, then one per failure."""
    manifest = bundle.manifest
    layers = tuple(zip((layer.name for layer in manifest.layers), manifest.cycles.layers, strict=True))

    def case(name: str, values: int, cycles: int | None, failure: str | None = None) -> Case:
        properties = (("cycles_predicted", str(cycles)), ("cycles_simulated", str(cycles))) if cycles else ()
        mode = "protocol" if name.startswith("layer") else "bulk"
        return Case(
            simulator="verilator",
            mode=mode,
            name=name,
            values=values,
            wrong=1 if failure else 0,
            seconds=0.25,
            failure=failure,
            properties=properties,
        )

    cases = [case(f"layer {name}", 100, cycles) for name, cycles in layers]
    cases.append(case("cycles per image", 30, manifest.cycles.image))
    cases += [case(f"images {i}", 10, None, failure) for i, failure in enumerate(failures)]
    return VerifyReport(
        net=manifest.net,
        design_hash=manifest.design_hash,
        simulators=("verilator 5.48",),
        images=30,
        image_source="30 stored",
        seed=1,
        values_compared=sum(case.values for case in cases),
        mismatches=sum(case.wrong for case in cases),
        cycles_predicted=manifest.cycles.image,
        cycles_simulated=manifest.cycles.image,
        layer_cycles_predicted=layers,
        layer_cycles_simulated=layers,
        cases=tuple(cases),
        waves=(),
        seconds=2.5,
        coverage=as_stored(bundle.network, bundle.images, 30, 1).coverage(30, 2),
    )


def trained_log(epochs: int = 6) -> list[dict[str, Any]]:
    """What the engine notes of `epochs` epochs of training."""
    return [
        {"stage": "train", "epoch": i, "loss": 1.0 / i, "accuracy": 95.0 - 40.0 / i, "lr": 2e-3 / i}
        for i in range(1, epochs + 1)
    ]


def pruned_log(layers: Sequence[str] = ("stem", "branch", "fc"), epochs: int = 4) -> list[dict[str, Any]]:
    """What the engine notes of a step of ADMM, and of retraining of two epochs."""
    log: list[dict[str, Any]] = []
    for i in range(1, epochs + 1):
        entry = {"stage": "admm", "phase": "joint 1/1", "epoch": i, "loss": 0.4 * i, "rho": 0.02 * 3**i}
        for place, name in enumerate(layers):
            # The first dual residual is zero, which a logarithmic axis cannot show.
            entry |= {f"primal.{name}": 0.8 / (i + place), f"dual.{name}": 0.01 * (i - 1) / (1 + place)}
        log.append(entry)
    retrain = {"stage": "admm", "phase": "final retrain", "accuracy": 93.0, "lr": 4e-3}
    return [*log, {**retrain, "epoch": 1, "loss": 0.3}, {**retrain, "epoch": 2, "loss": 0.2}]


def _models() -> tuple[Model, Model, Model, Model]:
    dense = Model(
        graph=branched_graph(),
        stage=Stage.DENSE,
        meta={"name": "branched", "accuracy": {"dense": 95.0}, "log": trained_log()},
    )
    weights = {layer.name: layer.weight.copy() for layer in dense.graph.weighted}
    weights["stem"][4:] = 0
    weights["branch"][[1, 5]] = 0
    weights["branch"].reshape(6, -1)[:, ::3] = 0
    weights["fc"][:, ::2] = 0
    changed = [replace(layer, weight=weights[layer.name]) for layer in dense.graph.weighted]
    admm = dense.advance(dense.graph.replace(*changed), Stage.ADMM, accuracy={"admm": 94.0}, log=pruned_log())
    purified = purify(admm, PurifyConfig(mode="absolute", th1=0.05))
    purified = purified.advance(purified.graph, purified.stage, accuracy={"purified": 92.5})
    small = compact(purified)
    return dense, admm, purified, small.advance(small.graph, small.stage, accuracy={"compact": 92.5})
