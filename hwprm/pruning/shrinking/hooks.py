"""Ranking channels and columns by what they do to the loss, and removing the least of them while training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwprm.config.shrink import HARDWARE_COUNTS, ShrinkConfig
from hwprm.core.errors import ConfigError
from hwprm.graph import Conv2d, Graph
from hwprm.graph.liveness import filled_lines
from hwprm.nets import GraphModule
from hwprm.pruning.channels.blocks import Meter, even_weights
from hwprm.pruning.channels.groups import ChannelGroups, channel_groups
from hwprm.training.hooks import Hooks
from hwprm.training.masks import ZeroMasks

__all__ = ["Meters", "Pattern", "ShrinkHooks", "cost_of"]

#: What counts cycles, bits and the like, by the name of the count.
Meters = Mapping[str, Meter]
#: One whole number for each thing that is counted.
Counts = tuple[int, ...]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def cost_of(graph: Graph, count: str) -> dict[str, int]:
    """What one weight of each weighted layer counts: 1, or 0 where `count` leaves it out, or its pixels for macs.

    A weight by itself takes no cycles and no memory: they are counted with the whole pattern.
    """
    costs = {}
    for node in graph.weighted:
        pixels = int(np.prod(graph.shapes[node.name][1:]))
        own = {"all_weights": 1, "conv_only": int(isinstance(node, Conv2d)), "macs": pixels}
        costs[node.name] = 0 if count in HARDWARE_COUNTS else own[count]
    return costs


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


@dataclass
class Pattern:
    """Rows and columns of every layer's matrix that are alive, kept consistent over the paths of the network."""

    groups: ChannelGroups
    #: What a weight of each layer costs, for each thing that is counted.
    cost: Mapping[str, Counts]
    rows: dict[str, BoolArray]
    cols: dict[str, BoolArray]
    #: Which of the counts are those of hardware, and what counts them.
    meters: Mapping[int, Meter] = field(default_factory=dict)
    _known: dict[bytes, Mapping[int, Mapping[str, int]]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, graph: Graph, *counts: str, meters: Meters | None = None) -> Pattern:
        """What is not zero in `graph`, unused paths closed; `meters` count what is hardware's, by name.

        Raises ConfigError for such a count without a meter.
        """
        meters = meters or {}
        for name in counts:
            if name in HARDWARE_COUNTS and name not in meters:
                raise ConfigError(f"shrink.count = {name} needs an array to count for; give array to PruneOptions")
        groups = channel_groups(graph)
        rows, cols = {}, {}
        for node in graph.weighted:
            rows[node.name], cols[node.name] = filled_lines(node.weight)
        costs = [cost_of(graph, count) for count in counts]
        cost = {name: tuple(of[name] for of in costs) for name in rows}
        used = {index: meters[name] for index, name in enumerate(counts) if name in HARDWARE_COUNTS}
        pattern = cls(groups=groups, cost=cost, rows=rows, cols=cols, meters=used)
        pattern.close()
        return pattern

    @property
    def counts(self) -> Counts:
        """Of each thing that is counted: alive rows x alive columns x cost, summed over layers, or what is metered."""
        alive = {name: int(self.rows[name].sum()) * int(self.cols[name].sum()) for name in self.rows}
        each = zip(*([cost * alive[name] for cost in costs] for name, costs in self.cost.items()), strict=True)
        sums = [sum(parts) for parts in each]
        for index, layers in self.by_layer().items():
            sums[index] = sum(layers.values())
        return tuple(sums)

    def by_layer(self) -> Mapping[int, Mapping[str, int]]:
        """What every layer of the network with this pattern takes of each count of hardware, each pattern once."""
        if not self.meters:
            return {}
        key = b"".join(mask.tobytes() for masks in (self.rows, self.cols) for mask in masks.values())
        if key not in self._known:
            filled = self._filled()
            self._known[key] = {index: meter.of(filled) for index, meter in self.meters.items()}
        return self._known[key]

    def _filled(self) -> Graph:
        """The network with weights in the whole pattern and nowhere else: what they are takes nothing of hardware."""
        graph = even_weights(self.groups.graph)
        changed = []
        for node in graph.weighted:
            kept = np.outer(self.rows[node.name], self.cols[node.name])
            # Rows alike large as before: a few columns must not vanish in the rounding of the activations.
            share = kept.shape[1] / max(1, int(self.cols[node.name].sum()))
            changed.append(
                replace(node, weight=node.weight * kept.reshape(node.weight.shape) * node.weight.dtype.type(share))
            )
        return graph.replace(*changed)

    def gains(self, name: str) -> tuple[FloatArray, FloatArray]:
        """What one row and one column of layer `name` free of each count.

        Cycles fall with a column of a layer, and with as many rows as the last filter tile has: each row of it is worth
        its part of the tile, so that rows that only together save one are valued together, the more the fewer are left.
        So do the memories of weights and lists, which hold a word for every cycle.
        """
        rows, cols = int(self.rows[name].sum()), int(self.cols[name].sum())
        cost = np.array(self.cost[name], dtype=np.float64)
        row, column = cost * cols, cost * rows
        if rows and cols:
            for index, layers in self.by_layer().items():
                taken, grain = layers.get(name, 0), self.meters[index].grain
                tiles, last = -(-rows // grain), (rows - 1) % grain + 1
                row[index] = taken / (tiles * last) if tiles > 1 else 0.0
                column[index] = taken / cols
        return row, column

    def close(self) -> None:
        """Take every channel that nobody makes or nobody reads, with all its rows and columns, to a fixed point."""
        while True:
            made, read = self.alive_groups(), self._read_groups()
            before = self.count_alive()
            for name, ids in self.groups.rows.items():
                self.rows[name] &= read[ids]
            for name, ids in self.groups.cols.items():
                self.cols[name] &= made[ids]
            if self.count_alive() == before:
                return

    def is_last_reader(self, name: str, column: int) -> bool:
        """Whether nothing but this column of layer `name` reads its group."""
        group = self.groups.cols[name][column]
        return sum(int((self.cols[layer] & (ids == group)).sum()) for layer, ids in self.groups.cols.items()) == 1

    def holds_layer(self, group: int) -> bool:
        """Whether a layer of which something is left would have nothing without `group`, unused paths closed."""
        made, read = self.alive_groups(), self._read_groups()
        rows = ((self.rows[name] & read[ids], ids) for name, ids in self.groups.rows.items())
        cols = ((self.cols[name] & made[ids], ids) for name, ids in self.groups.cols.items())
        return any(mask.any() and not (mask & (ids != group)).any() for mask, ids in (*rows, *cols))

    def count_alive(self) -> int:
        """Alive rows and columns of all layers together."""
        return sum(int(mask.sum()) for masks in (self.rows, self.cols) for mask in masks.values())

    def masks(self, module: GraphModule) -> dict[str, Tensor]:
        """Parameter name to a bool tensor of its shape, True where pruned: weights, biases, batch norms behind."""
        found: dict[str, Tensor] = {}
        dead = ~self.alive_groups()
        for node in module.graph.weighted:
            key, weight = module.holders[node.name], module.weight(node.name)
            gone = ~(self.rows[node.name][:, None] & self.cols[node.name][None, :])
            found[f"{key}.weight"] = torch.from_numpy(gone).reshape(weight.shape)
            found[f"{key}.bias"] = torch.from_numpy(~self.rows[node.name])
        for name, ids in self.groups.norms.items():
            for part in ("weight", "bias"):
                found[f"{module.holders[name]}.{part}"] = torch.from_numpy(dead[ids])
        return {key: mask for key, mask in found.items() if bool(mask.any())}

    def alive_groups(self) -> BoolArray:
        """``(groups,)``: fixed, or made by an alive row of any layer."""
        alive = self.groups.fixed.copy()
        for name, ids in self.groups.rows.items():
            alive[ids[self.rows[name]]] = True
        return alive

    def _read_groups(self) -> BoolArray:
        """``(groups,)``: fixed, or read by an alive column of any layer."""
        read = self.groups.fixed.copy()
        for name, ids in self.groups.cols.items():
            read[ids[self.cols[name]]] = True
        return read


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
