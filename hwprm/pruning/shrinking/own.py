"""Gradual shrinking in a training loop that is not ours: the rounds of `shrink`, each an epoch of the loop."""

from __future__ import annotations

from hwprm.config.shrink import ShrinkConfig
from hwprm.core.errors import ConfigError, ModelError
from hwprm.graph import Graph
from hwprm.nets import TiedModule
from hwprm.pruning.channels.pattern import Pattern
from hwprm.pruning.shrinking.hooks import ShrinkHooks
from hwprm.pruning.shrinking.pace import Pace
from hwprm.pruning.shrinking.shrink import refuse_stuck, shrink_limits
from hwprm.training.hooks import Hooks

__all__ = ["ShrinkCourse"]


class ShrinkCourse:
    """Hooks of the epoch that the loop is in, of `steps` steps each; once the limit is met they keep the zeros.

    The network keeps its shapes, where `shrink` trains a narrower one every round: sums are then rounded otherwise.
    """

    def __init__(self, module: TiedModule, config: ShrinkConfig, steps: int) -> None:
        if steps < 1:
            raise ConfigError(f"steps must be the optimiser's steps of an epoch, such as len(loader), not {steps}")
        if module.loose:
            raise ConfigError(
                f"the weight of {module.loose[0]!r} is no parameter of the module (it is computed from others, or two "
                "layers read it), so it cannot be pruned in place; make it a plain one"
            )
        self.module, self.config, self.steps = module, config, steps
        full = Pattern.of(module.graph, *config.counts).counts
        self.pace = Pace(config, full, shrink_limits(module.graph, config))
        self.number, self.left = 0, full
        self._last: ShrinkHooks | None = None
        self._hooks = self._begin()

    @property
    def hooks(self) -> Hooks:
        """What is to be called in the epoch of now."""
        return self._hooks.zeros if self.done else self._hooks

    @property
    def epochs(self) -> int:
        """Epochs until the limit is met, as far as they can be told now; the last ones may take more."""
        return self.number if self.done else self.pace.rounds(self.number)

    @property
    def done(self) -> bool:
        """Whether the limit is met."""
        return not self.pace.is_over(self.left)

    @property
    def phase(self) -> str:
        """What the epoch of now does."""
        return "masked" if self.done else f"shrink {self.number + 1}"

    @property
    def lr(self) -> float:
        """Learning rate that the configuration has, constant while shrinking."""
        return self.config.lr

    def after_epoch(self) -> dict[str, float]:
        """What is left of each count. Raises ModelError when the limit cannot be met."""
        if self.done:
            return {}
        metrics = dict(self._hooks.after_epoch(self.module, 1, 1))
        self.left, self.number = self._hooks.pattern.counts, self.number + 1
        if not self.done:
            refuse_stuck(self._hooks)
            self._last, self._hooks = self._hooks, self._begin()
        return metrics

    def finish(self) -> None:
        """Cut down to the limit now. Raises ModelError when no step of this epoch has said what matters."""
        if self.done:
            return
        if not self._hooks.step and self._last is None:
            raise ModelError("nothing says yet which channels matter; train an epoch, or some steps of one, before")
        if not self._hooks.step and self._last is not None:
            self._hooks = self._last  # an epoch has just ended: what it has measured
        self._hooks.cut(self.module, self.pace.limits)
        self._hooks.zeros.after_step(self.module)
        self.left = self._hooks.pattern.counts
        refuse_stuck(self._hooks)

    def check(self, graph: Graph) -> None:
        """Nothing: the outputs' channels never go."""

    def _begin(self) -> ShrinkHooks:
        self.module.graph = self.module.to_graph()  # its zeros are what has gone
        hooks = ShrinkHooks(self.module, self.config, self.pace.course(self.number, self.steps))
        hooks.to(self.module.device)
        return hooks
