"""ADMM in a training loop of your own: `python examples/own_loop.py [IMAGES [EPOCHS]]`, a minute on one core.

The loop, the optimiser and the loss are yours; four lines of it are hwprm's.
"""

from __future__ import annotations

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import hwprm
from hwprm.data import load_dataset


def main(images: int = 2000, dense: int = 3) -> None:
    """Train `dense` epochs, prune in place with ADMM, then purify and compact."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    mnist = load_dataset("mnist")
    x = torch.from_numpy(mnist.x_train[:images]).float() / 255
    y = torch.from_numpy(mnist.y_train[:images])
    loader = DataLoader(TensorDataset(x, y), batch_size=50, shuffle=True)
    net = nn.Sequential(
        *(nn.Conv2d(1, 12, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(384, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    admm: hwprm.Admm | None = None
    epoch = 0
    while admm is None or not admm.done:
        if epoch == dense:
            config = hwprm.AdmmConfig(stages=1, epochs=2, final_epochs=2)
            admm = hwprm.Admm(net, config, compression=4, example=x[:1], steps=len(loader))
        for image, label in loader:
            loss = nn.functional.cross_entropy(net(image), label)
            if admm is not None:
                loss = loss + admm.penalty()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if admm is not None:
                admm.after_step()
        if admm is not None:
            residuals = [f"{k} {v:.3f}" for k, v in admm.after_epoch().items() if k.startswith("primal")]
            print(f"epoch {epoch + 1}, loss {loss.item():.3f}, then {admm.phase}", *residuals)
        epoch += 1

    small = hwprm.prune(admm.model(), (x, y), hwprm.PruneOptions(purify=hwprm.PurifyConfig(drop=1.0)))
    print(small)
    module = small.to_torch()
    right = int((module(x).argmax(dim=1) == y).sum())
    print(f"as a torch module: {100 * right / len(y):.1f} % of the training images")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
