"""Ranking channels and columns by what they do to the loss, and removing the least of them while training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwprm.config.shrink import ShrinkConfig
from hwprm.nets import GraphModule
from hwprm.pruning.channels.pattern import Counts, Meters, Pattern
from hwprm.training.hooks import Hooks
from hwprm.training.masks import ZeroMasks

__all__ = ["Candidate", "Course", "ShrinkHooks"]

FloatArray = NDArray[np.float64]


class Candidate(NamedTuple):
    """A channel group, or a column of `layer`, that may go: importance by cost, what it frees of each count, number."""

    rank: float
    freed: Counts
    layer: str
    number: int


@dataclass(frozen=True, kw_only=True)
class Course:
    """How much of each of `counts` may be left in a round of `steps` steps, all tuples alike long."""

    counts: tuple[str, ...]
    #: What may be left at the very end.
    limits: Counts
    #: What may be left when the round begins.
    begin: tuple[float, ...]
    #: By what each falls in the round.
    rates: tuple[float, ...]
    steps: int

    def allowed(self, step: int) -> Counts:
        """What may be left of each count after `step` steps."""
        share = -step / self.steps
        falling = zip(self.limits, self.begin, self.rates, strict=True)
        return tuple(max(limit, int(begin * rate**share)) for limit, begin, rate in falling)


class ShrinkHooks(Hooks):
    """Every `config.every` steps, once an epoch at least, the channels and columns that matter least for their cost go.

    They go till what `course` allows is left.

    A channel's or column's importance is the moving average of ``(sum over its weights of w * dL/dw)^2``: the squared
    first-order change of the loss if it went (Molchanov et al., arXiv 1906.10771, equation 8, for whole groups). The
    weights summed for a channel are those that read it, in every layer. All layers are ranked together by importance
    divided by the cost that goes with it; of several counts the costs are added, each as a share of what must still go.
    """

    def __init__(self, module: GraphModule, config: ShrinkConfig, course: Course, meters: Meters | None = None) -> None:
        self.config, self.course = config, course
        self.every = min(config.every, course.steps)
        self.pattern = Pattern.of(module.graph, *course.counts, meters=meters)
        self.zeros = ZeroMasks(self.pattern.masks(module))
        self.device = torch.device("cpu")
        self.step = 0
        #: Whether more should have gone than can.
        self.stuck = False
        #: Moving averages, on the device: nothing but a removal waits for it.
        cols = self.pattern.groups.cols
        self.columns = {name: torch.zeros(ids.shape, dtype=torch.float64) for name, ids in cols.items()}
        self.channels = torch.zeros(self.pattern.groups.count, dtype=torch.float64)
        self.readers = {name: torch.from_numpy(ids) for name, ids in cols.items()}

    def to(self, device: torch.device) -> None:
        self.device = device
        self.zeros.to(device)
        self.columns = {name: average.to(device) for name, average in self.columns.items()}
        self.channels = self.channels.to(device)
        self.readers = {name: ids.to(device) for name, ids in self.readers.items()}

    def after_backward(self, module: GraphModule) -> None:
        self.zeros.after_backward(module)
        effects = {}
        for name in self.columns:
            weight = module.weight(name)
            if weight.grad is not None:
                effects[name] = (weight.detach() * weight.grad).flatten(1).sum(dim=0).double()
        if not effects:
            return
        # Gradients of a scaled loss overflow now and then: the step is skipped, and says nothing here either.
        finite = torch.stack([effect.isfinite().all() for effect in effects.values()]).all()
        gates = torch.zeros_like(self.channels)
        for name, effect in effects.items():
            gates += torch.zeros_like(gates).index_add_(0, self.readers[name], effect)
            self.columns[name] = self._average(self.columns[name], effect, finite)
        self.channels = self._average(self.channels, gates, finite)

    def _average(self, average: Tensor, effect: Tensor, finite: Tensor) -> Tensor:
        memory = self.config.memory
        return torch.where(finite, memory * average + (1 - memory) * effect**2, average)

    def after_step(self, module: GraphModule) -> None:
        self.step += 1
        if self.step % self.every == 0:
            self.cut(module, self.course.allowed(self.step))
        self.zeros.after_step(module)

    def cut(self, module: GraphModule, allowed: Counts) -> None:
        """Choose now what must go so that no more than `allowed` is left; `after_step` makes zeros of it."""
        self._remove(allowed)
        self.zeros = ZeroMasks(self.pattern.masks(module))
        self.zeros.to(self.device)

    def after_epoch(self, module: GraphModule, epoch: int, epochs: int) -> Mapping[str, float]:
        first, *others = (float(count) for count in self.pattern.counts)
        more = zip(self.course.counts[1:], others, strict=True)
        return {"left": first} | {f"left_{name}": count for name, count in more}

    def _over(self, allowed: Counts) -> Counts:
        """How much more than `allowed` there is of each count, 0 where there is not."""
        return tuple(max(0, have - may) for have, may in zip(self.pattern.counts, allowed, strict=True))

    def _remove(self, allowed: Counts) -> None:
        """Remove candidates, least importance for their cost first, until the counts are `allowed` at most.

        What would free more than has to go waits until the schedule asks for that much. At the limit itself there is
        nothing to wait for: there the next one goes that fits, at last the one that frees least.
        """
        channels = self.channels.cpu().numpy()
        columns = {name: average.cpu().numpy() for name, average in self.columns.items()}
        while any(over := self._over(allowed)):
            weights = _weights(over)
            ranked = sorted(self._candidates(channels, columns, weights))
            if not ranked:
                self.stuck = True
                return
            if _beyond(ranked[0].freed, over):
                waits = zip(over, allowed, self.course.limits, strict=True)
                if any(much and may > limit for much, may, limit in waits):
                    return
                fitting = [candidate for candidate in ranked if not _beyond(candidate.freed, over)]
                ranked = fitting or [min(ranked, key=lambda candidate: _cost(candidate.freed, weights))]
            before = self.pattern.count_alive()
            self._take_some(ranked, allowed, weights)
            if self.pattern.count_alive() == before:
                self.stuck = True
                return

    def _take_some(self, ranked: list[Candidate], allowed: Counts, weights: FloatArray) -> None:
        """The costs of the rest change with every removal; a few at a time keep them nearly right."""
        first = _cost(ranked[0].freed, weights)
        begin, taken = bool(self.pattern.meters) and self._over(allowed), np.zeros(len(weights), np.int64)
        for candidate in ranked[: max(1, len(ranked) // 50)]:
            # What hardware takes is estimated between two of the exact counts, which `_remove` asks for.
            over = tuple(np.maximum(begin - taken, 0).tolist()) if begin else self._over(allowed)
            if taken.any() and not any(over):
                break
            if _beyond(candidate.freed, over) and _cost(candidate.freed, weights) > first:
                break
            self._take(candidate)
            taken += np.array(candidate.freed, np.int64)
            if not begin and not any(self._over(allowed)):
                break
        self.pattern.close()

    def _candidates(
        self, channels: FloatArray, columns: Mapping[str, FloatArray], weights: FloatArray
    ) -> Iterator[Candidate]:
        """Everything that may go now and frees something, by the averages of `channels` and of `columns`."""
        pattern = self.pattern
        n_rows = {name: int(mask.sum()) for name, mask in pattern.rows.items()}
        n_cols = {name: int(mask.sum()) for name, mask in pattern.cols.items()}
        gains = {name: pattern.gains(name) for name in pattern.rows}
        freed = np.zeros((len(weights), pattern.groups.count))
        last = np.zeros(pattern.groups.count, bool)
        readers = np.zeros(pattern.groups.count)
        for name, ids in pattern.groups.rows.items():
            alive = np.bincount(ids[pattern.rows[name]], minlength=len(last))
            freed += np.outer(gains[name][0], alive)
            last |= (alive > 0) & (alive == n_rows[name])
        for name, ids in pattern.groups.cols.items():
            alive = np.bincount(ids[pattern.cols[name]], minlength=len(last))
            freed += np.outer(gains[name][1], alive)
            last |= (alive > 0) & (alive == n_cols[name])
            readers += alive
        needed = last & ~pattern.groups.fixed & (readers == 1)
        costs = weights @ freed
        free = ~pattern.groups.fixed & ~last & (costs > 0) & pattern.alive_groups()
        for group in np.flatnonzero(free):
            gone = tuple(math.ceil(count) for count in freed[:, group])
            yield Candidate(channels[group] / costs[group], gone, "", int(group))
        for name, mask in pattern.cols.items():
            gone = tuple(math.ceil(count) for count in gains[name][1])
            if name in columns and n_cols[name] > 1 and (gain := _cost(gone, weights)):
                for column in np.flatnonzero(mask & ~needed[pattern.groups.cols[name]]):
                    yield Candidate(columns[name][column] / gain, gone, name, int(column))

    def _take(self, candidate: Candidate) -> None:
        pattern, name, number = self.pattern, candidate.layer, candidate.number
        if name:
            group = int(pattern.groups.cols[name][number])
            held = (
                not pattern.groups.fixed[group] and pattern.is_last_reader(name, number) and pattern.holds_layer(group)
            )
            if pattern.cols[name].sum() > 1 and not held:
                pattern.cols[name][number] = False
        elif not pattern.holds_layer(number):
            for layer, ids in pattern.groups.rows.items():
                pattern.rows[layer] &= ids != number
            for layer, ids in pattern.groups.cols.items():
                pattern.cols[layer] &= ids != number


def _weights(over: Counts) -> FloatArray:
    """What one of each count costs: the inverse of what must still go of it, 0 where nothing must; 1 for the first."""
    first = next(much for much in over if much)
    return np.array([first / much if much else 0.0 for much in over])


def _cost(freed: Counts, weights: FloatArray) -> float:
    return float(np.dot(weights, freed))


def _beyond(freed: Counts, over: Counts) -> bool:
    """Whether `freed` is more than has to go, of every count of which something has to."""
    return all(gone > much for gone, much in zip(freed, over, strict=True) if much)
