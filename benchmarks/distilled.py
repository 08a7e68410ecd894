"""A distilled epoch of the compact ResNet-18 of the 60x row against a bare PyTorch loop over a network of its shapes.

What: CPU seconds of an epoch of fine-tuning as the row does it (bfloat16, SGD, augmented copies and the teacher's
answers kept, average of the weights, every check of the engine), and of a loop with torch's own modules of the same
filters and channels, labels alone and images as they are; and what making the copies and asking the teacher adds to
each epoch of the row.
How: each measurement is a process of its own with one thread on random images; the first epoch is not counted. The two
take turns, round by round, ratios are taken within a round, since the machine is shared; given are medians.
`python benchmarks/distilled.py`.
Target: a distilled epoch takes at most 1.15 x the CPU seconds of the loop's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import HERE, markdown, measure, parser, say, verdict, write_results
from torch import nn
from torch.nn import functional

from hwprm.config import FinetuneConfig, TrainConfig
from hwprm.data import Dataset
from hwprm.graph import BatchNorm, Conv2d, Graph, Linear
from hwprm.nets import GraphModule, reference_network
from hwprm.sources import as_model
from hwprm.training import Context
from hwprm.training.engine import fit
from hwprm.training.masks import ZeroMasks
from hwprm.training.samples import Samples

SLOWER = 1.15
COMPACT = HERE.parent / "examples" / "checkpoints" / "resnet18-60x"
#: The dense network of the row has half the channels.
NETWORK, WIDTH = "resnet18-cifar", 0.5
IMAGE = (3, 32, 32)
BATCH = 128
#: Copies and epochs of the row, and its training images.
COPIES, EPOCHS, WHOLE = 16, 40, 48_000
#: Copies that are made here: what a step does is the same for any number.
FEW = 2
KINDS = ("loop", "distilled")


def main() -> None:
    """Measure, print and write; or, as a child, measure one thing."""
    args = _arguments()
    if args.one:
        print(json.dumps(_one(args.one, args.images, args.epochs)))
        return
    command = [sys.executable, str(Path(__file__)), "--images", str(args.images), "--epochs", str(args.epochs)]
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for number in range(args.rounds):
        say(f"round {number + 1} of {args.rounds}")
        for kind in KINDS if number % 2 == 0 else reversed(KINDS):
            _, text = measure([*command, "--one", kind])
            found[kind].append(json.loads(text))
    per_image = {kind: statistics.median(one["epoch"] for one in rows) / args.images for kind, rows in found.items()}
    ratio = statistics.median(b["epoch"] / a["epoch"] for a, b in zip(found["loop"], found["distilled"], strict=True))
    copy = statistics.median(one["copies"] for one in found["distilled"]) / (args.images * (FEW + 1))
    facts = {
        "images": args.images,
        "rounds": args.rounds,
        "loop_seconds": round(per_image["loop"] * WHOLE, 1),
        "distilled_seconds": round(per_image["distilled"] * WHOLE, 1),
        "ratio": round(ratio, 3),
        "copies_seconds_an_epoch": round(copy * WHOLE * (COPIES + 1) / EPOCHS, 1),
        "target": SLOWER,
        "met": ratio <= SLOWER,
    }
    head = ("CPU seconds of 48,000 images", "loop", "distilled", "ratio", "target", "copies and teacher, each epoch")
    row = (facts["loop_seconds"], facts["distilled_seconds"], facts["ratio"], verdict(ratio <= SLOWER))
    print(markdown(head, [("", *row, facts["copies_seconds_an_epoch"])]))
    say(f"written: {write_results('distilled', facts, args.results)}")
    if not facts["met"]:
        raise SystemExit("the target was missed")


def _arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--images", type=int, default=40 * BATCH, help="images of an epoch (default: %(default)s)")
    made.add_argument("--epochs", type=int, default=2, help="epochs of a measurement (default: %(default)s)")
    made.add_argument("--rounds", type=int, default=5, help="measurements of each kind (default: %(default)s)")
    made.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    return made.parse_args()


def _one(kind: str, images: int, epochs: int) -> dict[str, float]:
    """CPU seconds of an epoch in this process, and of making copies."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (images, *IMAGE), dtype=np.uint8)
    y = rng.integers(0, 10, images)
    graph = as_model(str(COMPACT), IMAGE).graph
    marks, copies = _loop(graph, x, y, epochs + 1) if kind == "loop" else _distilled(graph, x, y, epochs + 1)
    return {"epoch": float(np.median(np.diff(marks))), "copies": copies}


def _loop(graph: Graph, x: Any, y: Any, epochs: int) -> tuple[list[float], float]:
    """The loop of every tutorial, with what is known to be fast: channels last, bfloat16."""
    module: Any = plain_module(graph).train()
    module.to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(module.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=2e-4)
    images, labels, marks = torch.from_numpy(x), torch.from_numpy(y), []
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(len(images)), BATCH):
            batch = (images[chosen].float() / 255).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                out = module(batch)
            loss = functional.cross_entropy(out.float(), labels[chosen])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            optimiser.step()
        marks.append(time.process_time())
    return marks, 0.0


def plain_module(graph: Graph) -> nn.Module:
    """torch's own ResNet-18 with the filters and channels of the compact `graph`, every column of them a weight."""
    module = reference_network(NETWORK, width=WIDTH, classes=10)
    made: dict[str, nn.Module] = {}
    for node in graph.nodes:
        if isinstance(node, Conv2d):
            rows, channels, *kernel = node.weight.shape
            old = module.get_submodule(node.name)
            assert isinstance(old, nn.Conv2d) and old.kernel_size == tuple(kernel)
            padding = int(old.padding[0])
            made[node.name] = nn.Conv2d(channels, rows, kernel[0], old.stride[0], padding, bias=False)
        elif isinstance(node, BatchNorm):
            made[node.name] = nn.BatchNorm2d(len(node.mean))
        elif isinstance(node, Linear):
            made[node.name] = nn.Linear(node.weight.shape[1], node.weight.shape[0])
    for name, new in made.items():
        above, _, last = name.rpartition(".")
        setattr(module.get_submodule(above), last, new)
    return module


def _distilled(graph: Graph, x: Any, y: Any, epochs: int) -> tuple[list[float], float]:
    """Fine-tuning with the options of the row."""
    data = Dataset(name="random", source="", x_train=x, y_train=y, x_test=x[:1], y_test=y[:1], classes=10)
    teacher = as_model(reference_network(NETWORK, width=WIDTH, classes=10).train(False), IMAGE).graph
    tune = FinetuneConfig(
        epochs=epochs,
        batch=BATCH,
        lr=0.01,
        weight_decay=2e-4,
        clean_share=0.0,
        distill=0.9,
        temperature=4.0,
        average=0.999,
    )
    base = TrainConfig(
        optimiser="sgd",
        nesterov=True,
        decayed="matrices",
        augment="crop_flip",
        copies=FEW,
        precision="bfloat16",
    )
    marks: list[float] = []

    def tell(stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        if "accuracy" in metrics:
            marks.append(time.process_time())

    module = GraphModule(graph)
    context = Context(config=tune.over(base), teacher=teacher, progress=tell)
    begin = time.process_time()
    Samples(data, graph, context, torch.float32)  # `fit` finds what this has made
    copies = time.process_time() - begin
    fit(module, data, context, stage="finetune", hooks=ZeroMasks.of(module))
    return marks, copies


if __name__ == "__main__":
    main()
