"""How fast a network shrinks: what every round, an epoch long, may leave."""

from __future__ import annotations

import math

from hwprm.config.shrink import ShrinkConfig
from hwprm.pruning.shrinking.hooks import Course

__all__ = ["Pace"]


class Pace:
    """From the counts `full` to `limits`, those of ``config.counts``, by the rates of `config`."""

    def __init__(self, config: ShrinkConfig, full: tuple[int, ...], limits: tuple[int, ...]) -> None:
        self.config, self.full, self.limits = config, full, limits
        far = [math.log(full / limit) if full > limit else 0.0 for full, limit in zip(full, limits, strict=True)]
        #: The furthest way that a count has to go, as a logarithm, and what share of it each goes.
        self.way = max(far)
        self.shares = tuple(one / self.way if self.way else 1.0 for one in far)

    def course(self, number: int, steps: int) -> Course:
        """What round `number` (from 0) of `steps` steps is to take away."""
        fallen, rate = self._of(number)
        return Course(
            counts=self.config.counts,
            limits=self.limits,
            begin=tuple(full / fallen**share for full, share in zip(self.full, self.shares, strict=True)),
            rates=tuple(rate**share for share in self.shares),
            steps=steps,
        )

    def rounds(self, number: int) -> int:
        """How many rounds there are in all, seen from round `number`."""
        fallen, rate = self._of(number)
        return max(number + 1, number + math.ceil((self.way - math.log(fallen)) / math.log(rate)))

    def is_over(self, left: tuple[int, ...]) -> bool:
        """Whether more than the limits is `left`."""
        return any(one > limit for one, limit in zip(left, self.limits, strict=True))

    def _of(self, number: int) -> tuple[float, float]:
        """By what the leading count has fallen before round `number`, and by what it falls in it."""
        config = self.config
        early = math.inf if config.late_rate is None else math.ceil(math.log(config.late_from) / math.log(config.rate))
        if config.late_rate is None or number < early:
            return config.rate**number, config.rate
        return config.rate**early * config.late_rate ** (number - early), config.late_rate
