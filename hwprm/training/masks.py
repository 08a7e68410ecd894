"""Training that keeps pruned weights exactly zero."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hwprm.graph import WEIGHTED, BatchNorm
from hwprm.nets import GraphModule
from hwprm.training.hooks import Hooks

__all__ = ["ZeroMasks"]


class ZeroMasks(Hooks):
    """Masked retraining: gradients of masked entries are zero and the entries are set to +0.0 after every step.

    `masks` maps a parameter's name in the module to a bool tensor of its shape, True where the entry is pruned.
    """

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        self.masks = dict(masks)
        #: 1 where an entry stays, 0 where it is pruned, as its parameter lies in memory: a product with these takes a
        #: third of the time that filling by mask does.
        self.keep: dict[str, Tensor] = {}

    @classmethod
    def of(cls, module: GraphModule) -> ZeroMasks:
        """Masks of everything that is zero now.

        A weight is pruned when it is zero; a bias when it is zero and its row is; a batch norm channel when scale
        and shift are both zero. (The zero biases a fresh network starts with stay trainable: their rows are not.)
        """
        masks: dict[str, Tensor] = {}
        for node in module.graph.nodes:
            if not isinstance(node, (*WEIGHTED, BatchNorm)):
                continue
            key = module.holders[node.name]
            weight, bias = module.weight(node.name).detach(), module.bias(node.name).detach()
            empty = (weight.flatten(1) == 0).all(dim=1) if weight.ndim > 1 else weight == 0
            dead = empty & (bias == 0)
            masks[f"{key}.bias"] = dead
            masks[f"{key}.weight"] = dead if isinstance(node, BatchNorm) else weight == 0
        return cls({key: mask for key, mask in masks.items() if bool(mask.any())})

    def to(self, device: torch.device) -> None:
        self.masks = {key: mask.to(device) for key, mask in self.masks.items()}
        self.keep = {}

    def after_backward(self, module: GraphModule) -> None:
        self._begin(module)
        for key, keep in self.keep.items():
            gradient = module.get_parameter(key).grad
            if gradient is not None:
                gradient.mul_(keep)

    def after_step(self, module: GraphModule) -> None:
        # Zero gradients alone would do for a fresh optimiser; this makes it certain with any momentum.
        self._begin(module)
        for key, keep in self.keep.items():
            module.get_parameter(key).mul_(keep)

    def _begin(self, module: GraphModule) -> None:
        if self.keep:
            return
        for key, mask in self.masks.items():
            parameter = module.get_parameter(key)
            parameter.masked_fill_(mask, 0.0)  # products keep the sign of a zero
            self.keep[key] = torch.ones_like(parameter, requires_grad=False).masked_fill_(mask, 0.0)

    def state(self) -> dict[str, Tensor]:
        return {f"masks.{key}": mask.to(torch.uint8) for key, mask in self.masks.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        prefix = "masks."
        self.masks = {k.removeprefix(prefix): v.bool() for k, v in state.items() if k.startswith(prefix)}
        self.keep = {}
