"""Training in hwprm against a bare PyTorch loop over the same network: seconds per epoch and memory.

What: seconds per epoch (CPU and wall) and peak memory of a bare loop and of hwprm's dense training, ADMM, shrinking and
masked retraining of the same network, and of fine-tuning the compact network at several sizes; and of making an epoch's
augmented images alone, at every step and from copies made before. LeNet-5 and the quarter-width ResNet-18 for CIFAR-10,
on random images of the real shapes: what is learnt does not change the time.
How: each measurement is a process of its own with one thread; the first epoch is not counted. The loop has the network
as an nn.Module, the same optimiser, batch and memory layout, and nothing else. All kinds take turns, round by round,
and ratios are taken within a round, since the machine is shared; given are medians over the rounds. Memory is the
largest resident set, the libraries included. Copies are made once; their making is spread over the 12 epochs for
which the recipes train. Shrinking removes at its default pace in every epoch, from a network of the full size.
Target: CPU seconds of an epoch at most 1.10 x the loop's, memory at most 1.3 x; smaller compact networks are faster.
Augmentation takes at most as long as the loop, in the way that the recipes use it: copies for LeNet-5, none for CIFAR.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from common import markdown, measure, parser, say, verdict, write_results

SLOWER, LARGER = 1.10, 1.3
BATCH = 64
#: Augmented copies of the training set, and the epochs that draw from them, as in the recipes.
COPIES, DRAWN = 5, 12
#: What is measured against the bare loop, and the part of the filters that compact networks keep.
STAGES = ("dense", "admm", "shrink", "masked")
SIZES = (1.0, 0.5, 0.25)


@dataclass(frozen=True, kw_only=True)
class Net:
    """A network: its name in hwprm, the scale of its width, and how many images an epoch has."""

    title: str
    name: str
    width: float
    image: tuple[int, int, int]
    images: int
    #: Augmentation as in the recipes, and from copies or not.
    augment: Literal["elastic", "crop_flip"]
    copies: bool

    @property
    def kinds(self) -> tuple[str, ...]:
        """All that is measured."""
        images = ("images", "images, copies") if self.copies else ("images",)
        return ("loop", *STAGES, *(f"compact {size:g}" for size in SIZES), *images)


NETS = {
    "lenet5": Net(
        title="LeNet-5", name="lenet5", width=1.0, image=(1, 28, 28), images=10_000, augment="elastic", copies=True
    ),
    "resnet18": Net(
        title="ResNet-18, quarter width",
        name="resnet18-cifar",
        width=0.25,
        image=(3, 32, 32),
        images=2_560,
        augment="crop_flip",
        copies=False,
    ),
}


def main() -> None:
    """Measure, print and write; or, as a child, measure one thing."""
    args = _arguments()
    if args.one:
        print(json.dumps(_one(NETS[args.nets], args.one, args.images, args.epochs, args.graphs)))
        return
    entries = [_measure(NETS[name], args) for name in args.nets.split(",")]
    facts = {
        "batch": BATCH,
        "epochs": args.epochs,
        "rounds": args.rounds,
        "target": {"seconds": SLOWER, "memory": LARGER},
        "met": all(row["met"] is not False for entry in entries for row in entry["rows"]),
        "networks": entries,
    }
    print(_table(entries))
    if args.quick:
        say("too short to measure anything: no result is written")
        return
    say(f"written: {write_results('training', facts, args.results)}")
    if not facts["met"]:
        raise SystemExit("a target was missed")


def _arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--nets", default=",".join(NETS), help="networks, comma between (default: %(default)s)")
    made.add_argument("--epochs", type=int, default=3, help="epochs of a measurement (default: %(default)s)")
    made.add_argument("--rounds", type=int, default=5, help="measurements of each kind (default: %(default)s)")
    made.add_argument("--quick", action="store_true", help="one short round, only to see that everything runs")
    made.add_argument("--images", type=int, help="images of an epoch, instead of the network's own number")
    made.add_argument("--one", help=argparse.SUPPRESS)
    made.add_argument("--graphs", type=Path, help=argparse.SUPPRESS)
    args = made.parse_args()
    if args.quick:
        args.epochs, args.rounds, args.images = 1, 1, 4 * BATCH
    return args


def _measure(net: Net, args: argparse.Namespace) -> dict[str, Any]:
    """All kinds of one network in turn, `args.rounds` times."""
    images = args.images or net.images
    kinds = net.kinds
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    name = next(key for key, value in NETS.items() if value is net)
    with tempfile.TemporaryDirectory() as folder:
        _store_graphs(net, Path(folder))
        command = [sys.executable, str(Path(__file__)), "--nets", name, "--graphs", folder]
        command += ["--images", str(images), "--epochs", str(args.epochs)]
        for number in range(args.rounds):
            say(f"{net.title}: round {number + 1} of {args.rounds}")
            for kind in kinds if number % 2 == 0 else reversed(kinds):
                usage, text = measure([*command, "--one", kind])
                found[kind].append(json.loads(text) | {"peak_mib": usage.peak_mib})
    rows = [_row(kind, found[kind], found["loop"]) for kind in kinds]
    _judge(rows, net)
    return {"net": net.title, "images": images, "rows": rows}


def _row(kind: str, found: list[dict[str, float]], loop: list[dict[str, float]]) -> dict[str, Any]:
    def middle(key: str) -> float:
        return statistics.median(one[key] for one in found)

    def ratio(key: str) -> float:
        return statistics.median(one[key] / base[key] for one, base in zip(found, loop, strict=True))

    return {
        "kind": kind,
        "weights": int(found[0]["weights"]),
        "cpu_seconds": round(middle("cpu"), 3),
        "wall_seconds": round(middle("wall"), 3),
        "peak_mib": round(middle("peak_mib"), 1),
        "cpu_ratio": round(ratio("cpu"), 3),
        "wall_ratio": round(ratio("wall"), 3),
        "memory_ratio": round(ratio("peak_mib"), 3),
    }


def _judge(rows: list[dict[str, Any]], net: Net) -> None:
    """Note in each row whether its target was met; None where there is none."""
    before = None
    for row in rows:
        if row["kind"].startswith("images"):
            used = row["kind"].endswith("copies") == net.copies
            row["met"] = row["cpu_ratio"] <= 1 if used else None
            continue
        faster = True
        if row["kind"].startswith("compact"):
            faster = before is None or row["cpu_seconds"] < before
            before = row["cpu_seconds"]
        row["met"] = faster and row["cpu_ratio"] <= SLOWER and row["memory_ratio"] <= LARGER


def _table(entries: list[dict[str, Any]]) -> str:
    header = ("network", "what", "weights", "CPU s / epoch", "wall s", "x loop, CPU", "x loop, wall")
    rows = [
        (
            *(e["net"], r["kind"], r["weights"], r["cpu_seconds"], r["wall_seconds"], r["cpu_ratio"], r["wall_ratio"]),
            *(r["peak_mib"], r["memory_ratio"], "-" if r["met"] is None else verdict(r["met"])),
        )
        for e in entries
        for r in e["rows"]
    ]
    return markdown((*header, "MiB", "x loop, memory", "target"), rows)


def _one(net: Net, kind: str, images: int, epochs: int, graphs: Path) -> dict[str, float]:
    """CPU and wall seconds of an epoch in this process, and the weights trained; `graphs` holds the networks."""
    import torch

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (images, *net.image), dtype=np.uint8)
    y = rng.integers(0, 10, images)
    clock = _Clock()
    epochs += 1
    if kind == "loop":
        weights = _loop(net, x, y, epochs, clock)
    elif kind.startswith("images"):
        weights = _images(net, COPIES if kind.endswith("copies") else 0, x, y, epochs, clock)
    else:
        weights = _stage(graphs, kind, x, y, epochs, clock)
    return {"weights": weights} | clock.per_epoch()


class _Clock:
    """Notes the time at the end of every epoch."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []
        #: CPU and wall seconds of an epoch's share of what was made before the first.
        self.before: tuple[float, float] = (0.0, 0.0)

    def __call__(self) -> None:
        self.marks.append((time.process_time(), time.monotonic()))

    def per_epoch(self) -> dict[str, float]:
        """The median epoch; what came before the first mark, warming up included, does not count."""
        epochs = np.diff(np.array(self.marks), axis=0)
        cpu, wall = np.median(epochs, axis=0) + self.before
        return {"cpu": float(cpu), "wall": float(wall)}


def _loop(net: Net, x: Any, y: Any, epochs: int, clock: Callable[[], None]) -> int:
    """The loop of every tutorial, with what is known to be fast: channels last, the fused optimiser."""
    import torch
    from torch.nn import functional

    module = _module(net).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(module.parameters(), 2e-3, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)
    images, labels = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(epochs):
        total = 0.0
        for chosen in torch.split(torch.randperm(len(images)), BATCH):
            batch = (images[chosen].float() / 255).contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(module(batch), labels[chosen])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            optimiser.step()
            total += float(loss.detach())
        clock()
    return _weights(module)


def _stage(graphs: Path, kind: str, x: Any, y: Any, epochs: int, clock: Callable[[], None]) -> int:
    """The same with hwprm's engine."""
    from hwprm.config import AdmmConfig, ShrinkConfig, TrainConfig
    from hwprm.data import Dataset
    from hwprm.model import Model
    from hwprm.nets import GraphModule
    from hwprm.pruning.admm.admm import phases
    from hwprm.pruning.admm.hooks import AdmmHooks
    from hwprm.pruning.admm.supports import choose_supports, hard_prune, matrix
    from hwprm.pruning.shrinking.hooks import Course, ShrinkHooks
    from hwprm.training import Context, Hooks
    from hwprm.training.engine import fit
    from hwprm.training.masks import ZeroMasks

    data = Dataset(name="random", source="", x_train=x, y_train=y, x_test=x[:1], y_test=y[:1], classes=10)
    graph = Model.load(graphs / (kind.partition(" ")[2] or "1")).graph
    module = GraphModule(graph)
    hooks = Hooks()
    if kind in ("admm", "masked"):
        config = AdmmConfig(compression=8.0, stages=1, epochs=epochs)
        limits = phases(graph, config)[0].limits
        assert limits
        if kind == "admm":
            hooks = AdmmHooks(module, limits, config, epochs)
        else:
            weights = {node.name: matrix(module, node.name) for node in graph.weighted}
            hard_prune(module, choose_supports(graph, weights, limits, config.path_aware))
    if kind == "shrink":
        size = _weights(module)
        hooks = ShrinkHooks(
            module,
            ShrinkConfig(),
            Course(
                counts=("all_weights",),
                limits=(size // 10,),
                begin=(size,),
                rates=(1.45,),
                steps=math.ceil(len(x) / BATCH),
            ),
        )
    if kind not in ("dense", "admm", "shrink"):
        hooks = ZeroMasks.of(module)

    def tell(stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        if "accuracy" in metrics:
            clock()

    fit(module, data, Context(config=TrainConfig(epochs=epochs, batch=BATCH), progress=tell), stage=kind, hooks=hooks)
    return _weights(module)


def _images(net: Net, copies: int, x: Any, y: Any, epochs: int, clock: _Clock) -> int:
    """Augmented images of every batch, no network; of `copies` made before, or at every step."""
    import torch

    from hwprm.config import TrainConfig
    from hwprm.data import Dataset
    from hwprm.nets import lenet5_graph
    from hwprm.training import Context
    from hwprm.training.samples import Samples

    data = Dataset(name="random", source="", x_train=x, y_train=y, x_test=x[:1], y_test=y[:1], classes=10)
    config = TrainConfig(batch=BATCH, augment=net.augment, copies=copies, clean_share=0.15)
    begin = np.array([time.process_time(), time.monotonic()])
    # The graph only names the input, of whatever shape.
    samples = Samples(data, lenet5_graph(0), Context(config=config), torch.float32)
    if copies:
        cpu, wall = (np.array([time.process_time(), time.monotonic()]) - begin) / DRAWN
        clock.before = float(cpu), float(wall)
    for epoch in range(epochs):
        for _batch in samples.epoch(epoch):
            pass
        clock()
    return 0


def _store_graphs(net: Net, folder: Path) -> None:
    """Write the dense network and those that a random mask compacts: making them would count as memory of training."""
    from masks import structured_mask

    from hwprm.frontend import to_graph
    from hwprm.model import Model, Stage
    from hwprm.nets import lenet5_graph

    dense = lenet5_graph(0) if net.name == "lenet5" else to_graph(_module(net).eval(), net.image)
    for size in SIZES:
        # A little less than all columns: which filters stay is rounded.
        graph = dense if size == 1 else structured_mask(dense, 1.1 / size**2, width=size)
        Model(graph=graph, stage=Stage.DENSE).save(folder / f"{size:g}")


def _module(net: Net) -> Any:
    from hwprm.nets import reference_network

    return reference_network(net.name, 0, width=net.width)


def _weights(module: Any) -> int:
    return sum(p.numel() for p in module.parameters() if p.ndim > 1)


if __name__ == "__main__":
    main()
