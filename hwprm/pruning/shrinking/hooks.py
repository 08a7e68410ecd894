"""Ranking channels and columns by what they do to the loss, and removing the least of them while training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwprm.config.shrink import ShrinkConfig
from hwprm.graph import Conv2d, Graph
from hwprm.nets import GraphModule
from hwprm.pruning.channels.groups import ChannelGroups, channel_groups
from hwprm.training.hooks import Hooks
from hwprm.training.masks import ZeroMasks

__all__ = ["Pattern", "ShrinkHooks", "cost_of"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def cost_of(graph: Graph, count: str) -> dict[str, int]:
    """What one weight of each weighted layer counts: 1, or 0 where `count` leaves it out, or its pixels for macs."""
    costs = {}
    for node in graph.weighted:
        pixels = int(np.prod(graph.shapes[node.name][1:]))
        costs[node.name] = {"all_weights": 1, "conv_only": int(isinstance(node, Conv2d)), "macs": pixels}[count]
    return costs


class Candidate(NamedTuple):
    """A channel group, or a column of `layer`, that may go: importance by cost, the count that it frees, its number."""

    rank: float
    freed: int
    layer: str
    number: int


@dataclass
class Pattern:
    """Rows and columns of every layer's matrix that are alive, kept consistent over the paths of the network."""

    groups: ChannelGroups
    cost: Mapping[str, int]
    rows: dict[str, BoolArray]
    cols: dict[str, BoolArray]

    @classmethod
    def of(cls, graph: Graph, count: str) -> Pattern:
        """What is not zero in `graph`, unused paths closed."""
        groups = channel_groups(graph)
        rows, cols = {}, {}
        for node in graph.weighted:
            alive = node.weight.reshape(len(node.bias), -1) != 0
            rows[node.name] = alive.any(axis=1)
            cols[node.name] = alive.any(axis=0)
        pattern = cls(groups=groups, cost=cost_of(graph, count), rows=rows, cols=cols)
        pattern.close()
        return pattern

    @property
    def count(self) -> int:
        """The sum over layers of alive rows x alive columns x cost."""
        return sum(self.cost[name] * int(self.rows[name].sum()) * int(self.cols[name].sum()) for name in self.rows)

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

    They go till `limit` is left.

    A channel's or column's importance is the moving average of ``(sum over its weights of w * dL/dw)^2``: the squared
    first-order change of the loss if it went (Molchanov et al., arXiv 1906.10771, equation 8, for whole groups). The
    weights summed for a channel are those that read it, in every layer. All layers are ranked together by importance
    divided by the cost that goes with it.
    The count allowed falls from `begin` by `config.rate` in `steps` steps, and not below `limit`.
    """

    def __init__(self, module: GraphModule, config: ShrinkConfig, limit: int, begin: float, steps: int) -> None:
        self.config, self.limit, self.begin, self.steps = config, limit, begin, steps
        self.every = min(config.every, steps)
        self.pattern = Pattern.of(module.graph, config.count)
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
            self._remove(max(self.limit, self._allowed()))
            self.zeros = ZeroMasks(self.pattern.masks(module))
            self.zeros.to(self.device)
        self.zeros.after_step(module)

    def after_epoch(self, module: GraphModule, epoch: int, epochs: int) -> Mapping[str, float]:
        return {"left": float(self.pattern.count)}

    def _allowed(self) -> int:
        return int(self.begin * self.config.rate ** (-self.step / self.steps))

    def _remove(self, allowed: int) -> None:
        """Remove candidates, least importance for their cost first, until the count is `allowed` at most.

        What would free more than has to go waits until the schedule asks for that much. At the limit itself there is
        nothing to wait for: there the next one goes that fits, at last the one that frees least.
        """
        channels = self.channels.cpu().numpy()
        columns = {name: average.cpu().numpy() for name, average in self.columns.items()}
        while (excess := self.pattern.count - allowed) > 0:
            ranked = sorted(self._candidates(channels, columns))
            if not ranked:
                self.stuck = True
                return
            if ranked[0].freed > excess:
                if allowed > self.limit:
                    return
                fitting = [candidate for candidate in ranked if candidate.freed <= excess]
                ranked = fitting or [min(ranked, key=lambda candidate: candidate.freed)]
            # The costs of the rest change with every removal; a few at a time keep them nearly right.
            before = self.pattern.count
            for candidate in ranked[: max(1, len(ranked) // 50)]:
                if candidate.freed > max(before - allowed, ranked[0].freed):
                    break
                self._take(candidate)
                before = self.pattern.count
                if before <= allowed:
                    break
            self.pattern.close()
            if self.pattern.count == allowed + excess:
                self.stuck = True
                return

    def _candidates(self, channels: FloatArray, columns: Mapping[str, FloatArray]) -> Iterator[Candidate]:
        """Everything that may go now and frees something, by the averages of `channels` and of `columns`."""
        pattern = self.pattern
        n_rows = {name: int(mask.sum()) for name, mask in pattern.rows.items()}
        n_cols = {name: int(mask.sum()) for name, mask in pattern.cols.items()}
        freed = np.zeros(pattern.groups.count)
        last = np.zeros(pattern.groups.count, bool)
        readers = np.zeros(pattern.groups.count)
        for name, ids in pattern.groups.rows.items():
            alive = np.bincount(ids[pattern.rows[name]], minlength=len(freed))
            freed += alive * n_cols[name] * pattern.cost[name]
            last |= (alive > 0) & (alive == n_rows[name])
        for name, ids in pattern.groups.cols.items():
            alive = np.bincount(ids[pattern.cols[name]], minlength=len(freed))
            freed += alive * n_rows[name] * pattern.cost[name]
            last |= (alive > 0) & (alive == n_cols[name])
            readers += alive
        needed = last & ~pattern.groups.fixed & (readers == 1)
        free = ~pattern.groups.fixed & ~last & (freed > 0) & pattern.alive_groups()
        for group in np.flatnonzero(free):
            yield Candidate(channels[group] / freed[group], int(freed[group]), "", int(group))
        for name, mask in pattern.cols.items():
            if name in columns and n_cols[name] > 1 and (gain := n_rows[name] * pattern.cost[name]):
                for column in np.flatnonzero(mask & ~needed[pattern.groups.cols[name]]):
                    yield Candidate(columns[name][column] / gain, gain, name, int(column))

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
