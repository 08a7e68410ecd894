"""Where pruning methods reach into the training engine."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from hwprm.nets import GraphModule

__all__ = ["Hooks"]


class Hooks:
    """What a stage adds to plain training. Every method here does nothing; a stage overrides what it needs."""

    def penalty(self, module: GraphModule) -> Tensor | None:
        """A scalar added to the loss of every step, None for no term."""
        return None

    def after_backward(self, module: GraphModule) -> None:
        """Called between the gradients and the optimiser step; may change ``.grad``."""

    def after_step(self, module: GraphModule) -> None:
        """Called after the optimiser step, without gradients; may change weights in place."""

    def after_epoch(self, module: GraphModule, epoch: int, epochs: int) -> Mapping[str, float]:
        """Called after epoch `epoch` (1..`epochs`), without gradients; returns numbers for the history."""
        return {}

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must hold so that `load_state` restores this object exactly."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
