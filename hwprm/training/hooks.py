"""Where pruning methods reach into the training engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hwprm.nets import GraphModule

__all__ = ["Hooks"]


class Hooks:
    """What a stage adds to plain training. Every method here does nothing; a stage overrides what it needs."""

    def begin(self, steps: int) -> None:
        """Called once before training, which will take `steps` steps of the optimiser in all."""

    def to(self, device: torch.device) -> None:
        """Move what is kept from step to step to `device`, where the module is."""

    def after_backward(self, module: GraphModule) -> None:
        """Called between the gradients and the optimiser step, without recording; may change ``.grad`` in place.

        A penalty adds its gradient here: so it counts once, however many processes share the batch.
        """

    def after_step(self, module: GraphModule) -> None:
        """Called after the optimiser step, without gradients; may change weights in place."""

    def after_epoch(self, module: GraphModule, epoch: int, epochs: int) -> Mapping[str, Any]:
        """Called after epoch `epoch` (1..`epochs`), without gradients; returns what the history keeps: numbers, which
        are shown as they come, and whatever else JSON holds.
        """
        return {}

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold so that `load_state` restores this object exactly."""
        return {}

    def options(self) -> str:
        """What else the result depends on, that neither the options of training nor `state` at the start show."""
        return ""

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
