"""Training is a plain torch loop, to the bit; the options that came later change none of it while they are off."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from hwprm.config.train import TrainConfig
from hwprm.nets import GraphModule
from hwprm.training import Context, fit
from hwprm.training.schedule import learning_rate
from tests.unit.training.synthetic import bits, blobs, tiny_graph

OPTIONS = {
    "adamw": {"optimiser": "adamw", "weight_decay": 1e-3},
    "sgd": {"optimiser": "sgd", "weight_decay": 5e-4},
    "nesterov": {"optimiser": "sgd", "weight_decay": 5e-4, "nesterov": True},
    "matrices": {"optimiser": "sgd", "weight_decay": 5e-2, "decayed": "matrices"},
    "taught": {"optimiser": "adamw", "distill": 0.7},
}


def _plain_loop(config, teacher, epochs=2):
    """What the engine is to do, written out."""
    module, data = GraphModule(tiny_graph(norm=True)), blobs()
    asked = None if teacher is None else GraphModule(teacher).eval()
    for network in (module, asked):
        for parameter in () if network is None else network.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    groups = [{"params": list(module.parameters())}]
    if config.decayed == "matrices":
        groups = [
            {"params": [p for p in module.parameters() if p.ndim > 1]},
            {"params": [p for p in module.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ]
    if config.optimiser == "sgd":
        optimiser = torch.optim.SGD(
            groups, config.lr, momentum=0.9, weight_decay=config.weight_decay, nesterov=config.nesterov
        )
    else:
        optimiser = torch.optim.AdamW(
            groups, config.lr, betas=(0.9, 0.99), weight_decay=config.weight_decay, fused=True
        )
    module.train()
    for epoch in range(epochs):
        order = np.random.default_rng([config.seed, epoch]).permutation(len(data.y_train))
        for step, chosen in enumerate(np.array_split(order, 6)):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(config, epoch * 6 + step, epochs * 6)
            x = torch.from_numpy(data.x_train[chosen]).to(torch.float32) * (1 / 255)
            x = torch.empty_like(x, memory_format=torch.channels_last).copy_(x)
            y = torch.from_numpy(data.y_train[chosen])
            output = module(x)
            loss = functional.cross_entropy(output, y)
            if asked is not None:
                with torch.no_grad():
                    taught = asked(x)
                own, wanted = (functional.log_softmax(logits / 3.0, dim=1) for logits in (output, taught))
                apart = functional.kl_div(own, wanted, reduction="batchmean", log_target=True)
                loss = (1 - 0.7) * loss + 0.7 * 3.0**2 * apart
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return module


@pytest.mark.parametrize("name", OPTIONS)
def test_the_engine_is_a_plain_loop(name):
    config = TrainConfig(epochs=2, batch=30, lr=5e-3, augment="none", **OPTIONS[name])
    teacher = tiny_graph(seed=3) if name == "taught" else None
    module = GraphModule(tiny_graph(norm=True))
    fit(module, blobs(), Context(config=config, teacher=teacher), stage="test")
    assert bits(module.to_graph()) == bits(_plain_loop(config, teacher).to_graph())
