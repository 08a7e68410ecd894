"""What test_distributed.py runs in several processes: `torchrun -m tests.unit.training.distributed_worker FOLDER`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwprm.config.admm import AdmmConfig, LayerBudget
from hwprm.config.shrink import ShrinkConfig
from hwprm.config.train import TrainConfig
from hwprm.core.errors import HwprmError
from hwprm.graph import Graph
from hwprm.model import Model, Stage
from hwprm.pruning.admm.admm import admm
from hwprm.pruning.shrinking.shrink import shrink
from hwprm.training import Checkpoint, Context, train
from tests.unit.training.synthetic import blobs, tiny_graph

#: 25 images of 180 a step: batches of 23 and 22, which two processes cannot share evenly.
BASE = TrainConfig(epochs=3, batch=25, lr=5e-3)
ADMM = AdmmConfig(
    budgets={"conv2": LayerBudget(filters=5, columns=12), "fc1": LayerBudget(columns=30)},
    stages=1,
    epochs=2,
    final_epochs=2,
    lr=2e-3,
)


def cases(folder: Path | None = None) -> dict[str, Callable[[], Graph]]:
    """Runs by name; checkpoints, where a run writes some, are in `folder`."""

    def norm() -> Graph:
        # Not AdamW: the bias before a batch norm has no gradient but rounding, which that scales up to whole steps.
        config = replace(BASE, augment="affine", clip=1.0, optimiser="sgd", lr=0.05)
        model = train(tiny_graph(norm=True), blobs(), Context(config=config))
        assert model.meta["log"][-1]["accuracy"] > 50
        return model.graph

    def taught() -> Graph:
        data, config = blobs(name="mnist"), replace(BASE, augment="shift", copies=1, optimiser="sgd", lr=0.02)
        return train(tiny_graph(), data, Context(config=config, teacher=tiny_graph(1))).graph

    def pruned() -> Graph:
        model = train(tiny_graph(seed=2), blobs(), Context(config=replace(BASE, epochs=2)))
        checkpoint = None if folder is None else Checkpoint(folder=folder / "checkpoint")
        return admm(model, blobs(), ADMM, Context(config=BASE, checkpoint=checkpoint)).graph

    def shrunk() -> Graph:
        model = Model(graph=tiny_graph(seed=2, norm=True), stage=Stage.DENSE)
        config, base = ShrinkConfig(rate=2.0, every=3), replace(BASE, optimiser="sgd")
        rounds = None if folder is None else Checkpoint(folder=folder / "rounds", resume=True)
        for compression in (3.0, 8.0):  # the second goes on from the rounds of the first
            small = replace(config, compression=compression)
            done = shrink(model, blobs(), small, Context(config=base, checkpoint=rounds, teacher=tiny_graph(1)))
        return done.graph

    return {"norm": norm, "taught": taught, "pruned": pruned, "shrunk": shrunk}


def norms_apart() -> Graph:
    """A run whose batch norms know the images of their own process alone."""
    config = replace(BASE, optimiser="sgd", lr=0.05, average=0.9, shared_norms=False)
    return train(tiny_graph(norm=True), blobs(), Context(config=config)).graph


def weights(graph: Graph) -> dict[str, np.ndarray]:
    """Every array of `graph` by name."""
    return {
        f"{node.name}.{key}": value
        for node in graph.nodes
        for key, value in vars(node).items()
        if isinstance(value, np.ndarray)
    }


class FullDisk(Checkpoint):
    """A checkpoint that only the first process may write, and cannot."""

    def _write(self, *_: object) -> None:
        assert os.environ["RANK"] == "0"
        raise OSError(28, "No space left on device")


def main(folder: Path) -> None:
    """Run all cases; each process keeps its own results."""
    from hwprm.training.distributed import process_group

    rank = os.environ["RANK"]
    with process_group(BASE) as group:
        assert (str(group.rank), group.size) == (rank, 2)
        for name, case in cases(folder).items():
            np.savez(folder / f"{name}-{rank}.npz", **weights(case()))
        np.savez(folder / f"apart-{rank}.npz", **weights(norms_apart()))
        told: list[str] = []
        for config, checkpoint in ((BASE, FullDisk(folder=folder / "full")), (replace(BASE, batch=1), None)):
            try:
                train(tiny_graph(), blobs(), Context(config=config, checkpoint=checkpoint))
            except HwprmError as error:
                told.append(str(error))
        (folder / f"errors-{rank}.txt").write_text("\n".join(told))
        _command_line(folder)


def _command_line(folder: Path) -> None:
    from hwprm.cli.app import main as hwprm

    options = {"data": folder / "tiny.npz", "epochs": 1, "batch": 30, "augment": "none", "out": folder / "model"}
    train = ["train", folder / "tiny", *(word for key, value in options.items() for word in (f"--{key}", value))]
    row = ["repro", folder / "row.toml", "--out", folder / "rows"]
    for words, code in ((train, 0), (row, 0), (row, 0), (["demo", "--out", folder / "demo"], 2)):
        sys.argv = ["hwprm", *map(str, words)]
        try:
            hwprm()
        except SystemExit as end:
            assert (end.code or 0) == code, (words, end.code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
