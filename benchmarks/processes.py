"""What a second process gives training on two cores: the compact ResNet-18 of the 60x row.

What: training images a second of `hwprm.training.engine.fit` (bfloat16, 128 images a step, images as they are), wall
clock: by one process; by two that share every batch, their batch norms with the statistics of all of it
(`train.shared_norms`); and by two whose batch norms know their own part alone.
How: each in fresh processes of one thread, started by torchrun where they are two; the second epoch counts. Medians of
some rounds, in which the three take turns. Two cores with nothing else on them. `python benchmarks/processes.py`.
Target: none, it says when to start a second process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import HERE, markdown, measure, parser, say, write_results

from hwprm.config import TrainConfig
from hwprm.data import Dataset
from hwprm.nets import GraphModule
from hwprm.sources import as_model
from hwprm.training import Context
from hwprm.training.distributed import process_group
from hwprm.training.engine import fit

COMPACT = HERE.parent / "examples" / "checkpoints" / "resnet18-60x"
IMAGE = (3, 32, 32)
#: What is measured -> processes, and whether their batch norms share statistics.
KINDS = {"one process": (1, True), "two processes": (2, True), "two, norms of their own parts": (2, False)}
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def main() -> None:
    """Measure, print and write; or, as a child, measure one thing."""
    args = _arguments()
    if args.one:
        _one(args.one == "shared", args.images)
        return
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(args.rounds):
        for kind, (processes, shared) in KINDS.items():
            say(f"round {number + 1}: {kind}")
            start = [sys.executable, *(TORCHRUN if processes > 1 else ()), str(Path(__file__))]
            _, text = measure([*start, "--images", str(args.images), "--one", "shared" if shared else "own"])
            found[kind].append(json.loads(text)["images_per_second"])
    facts = {
        "images": args.images,
        "rows": [{"what": kind, "images_per_second": round(statistics.median(got))} for kind, got in found.items()],
    }
    print(table(facts))
    say(f"written: {write_results('processes', facts, args.results)}")


def _arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--images", type=int, default=40 * 128, help="images of an epoch (default: %(default)s)")
    made.add_argument("--rounds", type=int, default=3, help="measurements of each kind (default: %(default)s)")
    made.add_argument("--one", choices=("shared", "own"), help=argparse.SUPPRESS)
    return made.parse_args()


def _one(shared: bool, images: int) -> None:
    """Two epochs on random images; the first process tells how many images a second the last one took."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (images, *IMAGE), dtype=np.uint8), rng.integers(0, 10, images)
    data = Dataset(name="random", source="", x_train=x, y_train=y, x_test=x[:1], y_test=y[:1], classes=10)
    config = TrainConfig(
        epochs=2,
        batch=128,
        optimiser="sgd",
        nesterov=True,
        lr=0.01,
        augment="none",
        precision="bfloat16",
        shared_norms=shared,
        device="cpu",
    )
    marks: list[float] = []

    def tell(stage: str, done: int, total: int, metrics: Any) -> None:
        if "accuracy" in metrics:
            marks.append(time.perf_counter())

    with process_group(config) as group:
        module = GraphModule(as_model(str(COMPACT), IMAGE).graph)
        fit(module, data, Context(config=config, progress=tell), stage="train")
        if group.rank == 0:
            print(json.dumps({"images_per_second": images / (marks[1] - marks[0])}))


def table(facts: dict[str, Any]) -> str:
    """Images a second, and how many times those of one process."""
    rows = facts["rows"]
    first = rows[0]["images_per_second"]
    header = ("trained by", "images a second", "times one")
    return markdown(header, [(r["what"], r["images_per_second"], r["images_per_second"] / first) for r in rows])


if __name__ == "__main__":
    main()
