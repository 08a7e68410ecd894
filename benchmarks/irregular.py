"""What irregular pruning costs on this array, beside structured pruning at the same number of weights.

What: for LeNet-5, trained and pruned by ADMM in two ways to the same number of weights in every layer (whole filters
and columns; single weights), and for a convolution as in ResNet-18's third stage (256 filters of 256 x 3 x 3, 14 x 14)
under a structured mask, a mask of patterns (4 of 9 taps, one of 8 patterns; whole kernels left out) and one of single
weights: columns in the lists of all filter tiles, zeros stored beside them, cycles on 8x8 and 16x16 with the filters
in the network's own order and in the compiler's, and how many times the structured cycles that is. A third LeNet-5
has the layer budgets of systematic ADMM (Zhang et al., ECCV 2018: 6,050 weights, 71x).
How: exact cycle counts of the compiler. The LeNets are trained on the embedded subset with the options of the main job
and kept in --runs; minutes. The convolution has random normal weights, of which each mask keeps the largest (weights,
kernels under their best pattern, columns by norm). --simulate runs the unstructured LeNet-5 in RTL on 8x8 and fails
unless its counter agrees.
Target: the compiler's order takes fewer cycles than the network's own on every irregular network, and never more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import RUNS, markdown, parser, say, verdict, write_results
from cycles import simulated_cycles
from networks import embedded
from numpy.typing import NDArray

from hwprm import api
from hwprm.compiler import LayerCycles, compile_network
from hwprm.config import AdmmConfig, ArrayConfig, PruneOptions
from hwprm.config.admm import LayerBudget
from hwprm.graph import Conv2d, Graph, Input
from hwprm.intnet import IntegerNetwork
from hwprm.model import Model
from hwprm.pipeline import demo_settings
from hwprm.pruning.admm.budgets import PRESETS
from hwprm.quantization import quantize_network

ARRAYS = (ArrayConfig(), ArrayConfig(rows=16, cols=16))
#: Kept weights of each layer in the ECCV 2018 paper's LeNet-5.
SYSTEMATIC = {"conv1": 100, "conv2": 2000, "fc1": 3600, "fc2": 350}
#: Filters and channels of the convolution, and how many kernels of each filter are kept.
WIDTH, KERNELS, MAP = 256, 64, 14
#: Taps that each pattern of a 3 x 3 kernel keeps: the middle and three neighbours.
PATTERNS = (
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (3, 4, 6, 7),
    (4, 5, 7, 8),
    (1, 3, 4, 5),
    (1, 3, 4, 7),
    (1, 4, 5, 7),
    (3, 4, 5, 7),
)

FloatArray = NDArray[np.float64]


def main() -> None:
    """Train where needed, count, print and write."""
    args = _arguments()
    rows: list[dict[str, Any]] = []
    for name, pruning, net, accuracy in (*_lenets(args.runs), *_convolutions()):
        say(f"{name}, {pruning}")
        rows += [_count(name, pruning, net, array, accuracy) for array in ARRAYS]
        if args.simulate and name == "LeNet-5" and pruning == "unstructured":
            rows[-2]["simulated"] = simulated_cycles(net, ARRAYS[0])
    for row in rows:
        base = _structured(rows, row)
        row["ratio"] = row["cycles"] / base["cycles"] if base else None
    print(_table(rows))
    facts = {
        "target": "fewer cycles in the compiler's order on irregular networks, never more",
        "met": all(row["cycles"] <= row["unordered"] - (row["pruning"] != "structured") for row in rows),
        "networks": rows,
    }
    say(f"written: {write_results('irregular', facts, args.results)}")
    if not facts["met"]:
        raise SystemExit("an order saves nothing")


def _arguments() -> Any:
    made = parser(__doc__ or "")
    made.add_argument("--runs", type=Path, default=RUNS / "irregular", help="the trained LeNets (default: %(default)s)")
    made.add_argument("--simulate", action="store_true", help="verify the unstructured LeNet-5 in RTL on 8x8")
    return made.parse_args()


def _lenets(folder: Path) -> Iterator[tuple[str, str, IntegerNetwork, float]]:
    """LeNet-5 pruned in three ways, and its accuracy."""
    structured = _pruned(folder, "structured", dict(PRESETS["lenet5-40x"].budgets))
    kept = {layer.name: LayerBudget(weights=int(np.count_nonzero(layer.weight))) for layer in structured.graph.weighted}
    systematic = {name: LayerBudget(weights=count) for name, count in SYSTEMATIC.items()}
    models = {
        ("LeNet-5", "structured"): structured,
        ("LeNet-5", "unstructured"): _pruned(folder, "unstructured", kept),
        ("LeNet-5, 6,050 weights", "unstructured"): _pruned(folder, "systematic", systematic),
    }
    for (name, pruning), model in models.items():
        yield name, pruning, api.quantize(model, embedded(), name="lenet5"), model.meta["accuracy"]["admm"]


def _pruned(folder: Path, name: str, budgets: dict[str, LayerBudget]) -> Model:
    """LeNet-5 after ADMM to `budgets`; loaded where an earlier run left it."""
    settings = demo_settings()
    if not (folder / "dense").exists():
        say("training the dense LeNet-5")
        api.train("lenet5", embedded(), settings.train).save(folder / "dense")
    if not (folder / name).exists():
        say(f"ADMM, {name}")
        admm: AdmmConfig = replace(settings.admm, budgets=budgets)
        dense = Model.load(folder / "dense")
        options = PruneOptions(admm=admm, train=settings.train, stop_after="admm")
        api.prune(dense, embedded(), options).save(folder / name)
    return Model.load(folder / name)


def _convolutions() -> Iterator[tuple[str, str, IntegerNetwork, None]]:
    weight = np.random.default_rng(0).normal(size=(WIDTH, WIDTH, 9))
    patterns = _pattern_mask(weight)
    count = int(patterns.sum())
    masks = {
        "structured": _column_mask(weight, count // WIDTH),
        "patterns": patterns,
        "unstructured": _largest(np.abs(weight).ravel(), count).reshape(weight.shape),
    }
    for pruning, mask in masks.items():
        yield f"conv {WIDTH}x{WIDTH}x3x3", pruning, _convolution(weight * mask), None


def _pattern_mask(weight: FloatArray) -> NDArray[np.bool_]:
    """For each kernel its best pattern; for each filter the `KERNELS` best kernels under theirs."""
    energy = np.stack([np.square(weight[..., taps]).sum(axis=-1) for taps in PATTERNS])
    shapes = np.zeros((len(PATTERNS), 9), dtype=bool)
    for shape, taps in zip(shapes, PATTERNS, strict=True):
        shape[list(taps)] = True
    mask = shapes[energy.argmax(axis=0)]
    kernels = np.stack([_largest(row, KERNELS) for row in energy.max(axis=0)])
    result: NDArray[np.bool_] = mask & kernels[..., None]
    return result


def _column_mask(weight: FloatArray, columns: int) -> NDArray[np.bool_]:
    kept = _largest(np.square(weight).sum(axis=0).ravel(), columns)
    return np.broadcast_to(kept.reshape(1, *weight.shape[1:]), weight.shape)


def _largest(values: FloatArray, count: int) -> NDArray[np.bool_]:
    mask = np.zeros(values.shape, dtype=bool)
    mask[np.argsort(-values, kind="stable")[:count]] = True
    return mask


def _convolution(weight: FloatArray) -> IntegerNetwork:
    """The convolution, and an output layer of one filter and one pixel, so that it is an inner layer."""
    kernel = weight.reshape(WIDTH, WIDTH, 3, 3).astype(np.float32)
    ones = np.ones((1, WIDTH, 1, 1), np.float32)
    nodes = (
        Input(name="image", inputs=(), shape=(WIDTH, MAP, MAP)),
        Conv2d(name="conv", inputs=("image",), weight=kernel, bias=np.zeros(WIDTH, np.float32), padding=(1, 1, 1, 1)),
        Conv2d(name="head", inputs=("conv",), weight=ones, bias=np.zeros(1, np.float32), stride=(MAP, MAP)),
    )
    images = np.random.default_rng(1).normal(size=(2, WIDTH, MAP, MAP))
    return quantize_network(Graph(nodes, ("head",)), images, 1.0)


def _count(name: str, pruning: str, net: IntegerNetwork, array: ArrayConfig, accuracy: float | None) -> dict[str, Any]:
    layers = [layer for layer in compile_network(net, array).cycles.layers if layer.name != "head"]

    def total(key: str) -> int:
        return sum(getattr(layer, key) for layer in layers)

    weights, slots = total("weights"), total("slots")
    return {
        "net": name,
        "pruning": pruning,
        "rows": array.rows,
        "cols": array.cols,
        "accuracy_per_cent": accuracy,
        "weights": weights,
        "listed": total("listed"),
        "unordered_listed": total("unordered_listed"),
        "regular": total("regular"),
        "zeros": 1 - weights / slots,
        "cycles": total("cycles"),
        "unordered": total("unordered_cycles"),
        "layers": [_layer(layer) for layer in layers],
    }


def _layer(layer: LayerCycles) -> dict[str, Any]:
    keys = ("name", "weights", "listed", "unordered_listed", "regular", "slots", "cycles", "unordered_cycles")
    plain = dataclasses.asdict(layer)
    return {key: plain[key] for key in keys}


def _structured(rows: list[dict[str, Any]], row: dict[str, Any]) -> dict[str, Any] | None:
    """The structured network of the same name on the same array."""
    same = (row["net"], row["rows"], row["cols"], "structured")
    return next((r for r in rows if (r["net"], r["rows"], r["cols"], r["pruning"]) == same), None)


def _table(rows: list[dict[str, Any]]) -> str:
    header = (
        *("network", "pruning", "per cent", "array", "weights", "columns listed", "in own order", "if regular"),
        *("zeros stored", "cycles", "in own order", "x structured", "target"),
    )
    return markdown(
        header,
        [
            (
                *(row["net"], row["pruning"], row["accuracy_per_cent"], f"{row['rows']}x{row['cols']}", row["weights"]),
                *(row["listed"], row["unordered_listed"], row["regular"], f"{row['zeros']:.0%}"),
                *(row["cycles"], row["unordered"], row["ratio"], verdict(row["cycles"] <= row["unordered"])),
            )
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
