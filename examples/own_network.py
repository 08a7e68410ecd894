"""From your own torch network and your own images to a verified accelerator: `python examples/own_network.py [FOLDER]`.

docs/tutorial.md goes through it step by step. It takes less than a minute on one core; everything it makes is in FOLDER
(runs/own by default), which must not be there yet.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

import hwprm


# step: network
class Own(nn.Module):
    """Two convolutions and a residual block; 4 classes of 1 x 12 x 12 images."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.first = nn.Conv2d(16, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.out = nn.Linear(16 * 3 * 3, 4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.norm(self.stem(image))))
        x = torch.relu(x + self.second(torch.relu(self.first(x))))
        return self.out(torch.flatten(self.pool(x), 1))


# step: data
def images(file: Path, count: int = 1200, seed: int = 0) -> None:
    """Store `count` noisy bars: lying, standing, falling and rising."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 4
    x = rng.integers(0, 90, (count, 1, 12, 12))
    line = np.arange(8)
    for image, label in zip(x[:, 0], y, strict=True):
        top, left = rng.integers(0, 5, 2)
        rows = (np.full(8, 3), line, line, line[::-1])[label] + top
        columns = (line, np.full(8, 3), line, line)[label] + left
        image[rows, columns] += 130
    np.savez(file, x=x.astype(np.uint8), y=y)


def main(folder: Path) -> None:
    """Every step, one after the other."""
    folder.mkdir(parents=True)
    data = folder / "bars.npz"
    images(data)
    torch.set_num_threads(1)
    torch.manual_seed(0)  # the network's first weights are torch's

    # step: train
    split = hwprm.DataConfig(name=str(data), validation=200)  # held out, for P-RM to judge by
    training = hwprm.TrainConfig(epochs=8, batch=32)
    dense = hwprm.train(Own(), split, training)

    # step: prune
    admm = hwprm.AdmmConfig(compression=6, stages=1, epochs=4, final_epochs=6)
    options = hwprm.PruneOptions(admm=admm, purify=hwprm.PurifyConfig(drop=0.5), train=training)
    small = hwprm.prune(dense, split, options)

    # step: report
    small.save(folder / "small")
    facts = hwprm.report(folder / "small", html=folder / "small.html")
    for row in facts["waterfall"]:
        print(f"{row['stage']:>13}: {row['all_weights']['left']:>5} weights, {row['all_weights']['ratio']:.2f}x fewer")
    kept = facts["waterfall"][-1]["layers"]
    for name in facts["layers"]:
        print(f"{name:>13}: {kept[name][0]} rows, {kept[name][1]} columns")

    # step: fine-tune
    tuned = hwprm.train(small, split, hwprm.TrainConfig(epochs=3, batch=32, lr=5e-4))
    tuned.save(folder / "tuned")
    print("accuracy:", {stage: f"{percent:.2f}" for stage, percent in tuned.meta["accuracy"].items()})

    # step: quantise
    net = hwprm.quantize(tuned, split, name="own")
    net.save(folder / "integer")

    # step: compile
    array = hwprm.ArrayConfig(rows=4, cols=4)
    before, after = (hwprm.estimate(network, array, data=split).total for network in (dense, net))
    print(f"cycles per image: {before} dense, {after} now")
    bundle = hwprm.compile(net, split, out=folder / "bundle", array=array)

    # step: verify
    quick = hwprm.VerifyConfig(images=20, protocol_images=1, optimise=False)
    report = hwprm.verify(bundle, quick)
    report.raise_on_failure()
    print(f"{report.values_compared} integers compared, {report.mismatches} mismatches")
    print(f"cycles per image: {report.cycles_predicted} predicted, {report.cycles_simulated} simulated")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/own"))
