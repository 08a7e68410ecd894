"""The optimiser of a module, and its state as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from hwprm.config.train import TrainConfig

__all__ = ["make_optimiser", "named", "pack", "take_named", "unpack"]


def make_optimiser(module: nn.Module, config: TrainConfig) -> Optimizer:
    """The optimiser that `config` names, over all parameters."""
    given = _groups(module, config)
    if config.optimiser == "sgd":
        return SGD(
            given, config.lr, momentum=config.momentum, weight_decay=config.weight_decay, nesterov=config.nesterov
        )
    return AdamW(
        given, config.lr, betas=(0.9, 0.99), weight_decay=config.weight_decay, fused=True
    )  # fused: one pass over memory, a tenth of a step's time on LeNet-5


def _groups(module: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """All parameters in one group, or in two where the decay spares some: biases and batch norms have one axis."""
    parameters = list(module.parameters())
    if config.decayed == "all":
        return [{"params": parameters}]
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    rest = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": rest, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def pack(optimiser: Optimizer) -> dict[str, Tensor]:
    """Moments and counters, named ``<number of the parameter>.<name>``."""
    state = optimiser.state_dict()["state"]
    return {f"{i}.{key}": value for i, entry in state.items() for key, value in entry.items() if value is not None}


def unpack(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Take back what `pack` gave."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        i, _, name = key.partition(".")
        like = parameters[int(i)]
        # The fused step walks raw memory: moments must lie in the same order as their parameter.
        moment = torch.empty_like(like).copy_(value).detach() if value.shape == like.shape else value
        state.setdefault(int(i), {})[name] = moment
    optimiser.load_state_dict(optimiser.state_dict() | {"state": state})


def named(module: nn.Module, optimiser: Optimizer) -> dict[str, Tensor]:
    """Moments and counters, named ``<parameter's name>/<name>``."""
    return {
        f"{name}/{key}": value
        for name, parameter in module.named_parameters()
        for key, value in optimiser.state[parameter].items()
        if value is not None
    }


def take_named(module: nn.Module, optimiser: Optimizer, moments: Mapping[str, Tensor]) -> None:
    """Take back what `named` gave, of parameters of the same shapes."""
    for name, parameter in module.named_parameters():
        for key in ("momentum_buffer", "exp_avg", "exp_avg_sq", "step"):
            value = moments.get(f"{name}/{key}")
            if value is not None:
                # The fused step walks raw memory: moments must lie in the same order as their parameter.
                own = value.clone() if value.ndim == 0 else torch.empty_like(parameter).copy_(value).detach()
                optimiser.state[parameter][key] = own
