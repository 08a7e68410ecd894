"""ADMM in a training loop that is not ours: the phases of `admm`, moved on by the epochs that the loop reports."""

from __future__ import annotations

from typing import Any

from hwprm.config.admm import AdmmConfig
from hwprm.core.errors import ConfigError
from hwprm.graph import Graph
from hwprm.nets import TiedModule
from hwprm.pruning.admm.admm import cut, hooks_of, phases, refuse_lost_classes
from hwprm.pruning.admm.budgets import final_limits
from hwprm.pruning.admm.hooks import AdmmHooks
from hwprm.pruning.admm.limited import budgeted
from hwprm.training.hooks import Hooks
from hwprm.training.masks import ZeroMasks

__all__ = ["AdmmCourse"]


class AdmmCourse:
    """Hooks of the phase that the loop is in; `hooks` are masked retraining once all are over."""

    def __init__(self, module: TiedModule, config: AdmmConfig, steps: int = 0) -> None:
        """`steps` of the optimiser are an epoch; 0 where the loop did not say."""
        self.module, self.steps = module, steps
        self.config, self.goal = budgeted(module.graph, config)
        self.phases = phases(module.graph, self.config, self.goal)
        self.number, self.epoch = 0, 0
        limited = {name for phase in self.phases for name in phase.limits or {}}
        if loose := [name for name in module.loose if name in limited]:
            raise ConfigError(
                f"the weight of {loose[0]!r} is no parameter of the module (it is computed from others, or two layers "
                "read it), so it cannot be pruned in place; make it a plain one, or name the other layers in budgets"
            )
        self.hooks: Hooks = self._begin()

    @property
    def epochs(self) -> int:
        """Epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def done(self) -> bool:
        """Whether every phase is over."""
        return self.number >= len(self.phases)

    @property
    def phase(self) -> str:
        """Name of the phase of now."""
        return "masked" if self.done else self.phases[self.number].name

    @property
    def lr(self) -> float:
        """Learning rate that the configuration has for the phase of now."""
        return self.config.retrain_lr if self.done else self.phases[self.number].lr(self.config)

    def after_epoch(self) -> dict[str, Any]:
        """Residuals as `AdmmHooks.after_epoch` gives them; at the end of a phase the cut, and the next one."""
        if self.done:
            return {}
        phase = self.phases[self.number]
        self.epoch += 1
        metrics = dict(self.hooks.after_epoch(self.module, self.epoch, phase.epochs))
        if self.epoch == phase.epochs:
            if phase.limits is not None:
                cut(self.module, phase.limits, self.config, phase.goal)
            self.number, self.epoch = self.number + 1, 0
            self.hooks = self._begin()
        return metrics

    def finish(self) -> None:
        """Cut to the budgets now, whatever phase it is."""
        if not self.done:
            cut(self.module, final_limits(self.module.graph, self.config), self.config, self.goal)
            self.number, self.epoch = len(self.phases), 0
            self.hooks = self._begin()

    def check(self, graph: Graph) -> None:
        """Raise ModelError when `graph`, the network of now, has lost a class."""
        refuse_lost_classes(graph, self.module.graph)

    def _begin(self) -> AdmmHooks | ZeroMasks:
        if self.done:
            hooks: AdmmHooks | ZeroMasks = ZeroMasks.of(self.module)
        else:
            phase = self.phases[self.number]
            hooks = hooks_of(self.module, phase, self.config)
            hooks.begin(self.steps * phase.epochs)
        hooks.to(self.module.device)
        return hooks
