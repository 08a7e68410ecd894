"""The moving average of a module's weights over the steps of a run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """``m <- d * m + (1 - d) * w`` after every step, of parameters and of the statistics of batch norms.

    d is `past`, less at first: (1 + t) / (10 + t) after step t, so that the start is soon forgotten. Zeros that every
    step keeps are zeros of the average.
    """

    def __init__(self, module: nn.Module, past: float) -> None:
        self.past, self.steps = past, 0
        self.mean = {name: value.detach().clone() for name, value in _averaged(module).items()}

    def update(self, module: nn.Module) -> None:
        """Take in the weights of now."""
        self.steps += 1
        past = min(self.past, (1 + self.steps) / (10 + self.steps))
        own = _averaged(module)
        torch._foreach_lerp_(list(self.mean.values()), [own[name].detach() for name in self.mean], 1 - past)

    def put(self, module: nn.Module) -> None:
        """Write the average into `module`."""
        for name, value in _averaged(module).items():
            value.detach().copy_(self.mean[name])

    def state(self) -> dict[str, Tensor]:
        """What `load_state` takes back."""
        return {"steps": torch.tensor(self.steps), **self.mean}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self.steps = int(state["steps"])
        for name, value in self.mean.items():
            value.copy_(state[name])


def _averaged(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and floating statistics; how many batches a batch norm has seen is no average."""
    return {name: value for name, value in module.state_dict(keep_vars=True).items() if value.is_floating_point()}
