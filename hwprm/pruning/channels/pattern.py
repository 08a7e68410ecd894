"""Rows and columns that are alive in every layer of a network, consistent over its paths, and what they count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwprm.config.limits import HARDWARE_COUNTS
from hwprm.core.errors import ConfigError
from hwprm.graph import Conv2d, Graph
from hwprm.graph.liveness import filled_lines
from hwprm.nets import GraphModule
from hwprm.pruning.channels.blocks import Meter, even_weights
from hwprm.pruning.channels.groups import ChannelGroups, channel_groups

__all__ = ["Counts", "Meters", "Pattern", "cost_of"]

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
                raise ConfigError(
                    f"{name} needs an array to count for: hwprm.prune does, for the array in PruneOptions, loops of "
                    "your own cannot"
                )
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
