"""How many channels every layer of a trained network needs, found for all layers at once under one cost.

After the idea of Khetan and Karnin (PruneNet, arXiv 2005.11282): a light optimisation on data finds each layer's width.
Scores, gates, ranking and search are ours; docs/widths.md says what is from where.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.config.admm import LayerBudget
from hwprm.config.options import record
from hwprm.config.widths import WidthsConfig
from hwprm.core.errors import ConfigError, DataError, ModelError
from hwprm.core.files import write_file
from hwprm.core.formats import WIDTHS
from hwprm.core.progress import Progress, silent
from hwprm.data import Dataset
from hwprm.graph import Conv2d, Graph, plain
from hwprm.model import Model, Stage
from hwprm.pruning.accounting import account, against
from hwprm.pruning.channels.blocks import Blocks, Meter, channel_blocks, narrow
from hwprm.pruning.channels.groups import channel_groups
from hwprm.pruning.channels.moments import ChannelMoments, channel_moments, compensated, scores
from hwprm.pruning.statistics import columns_per_channel, makes_output
from hwprm.pruning.widths.gates import Gates, find_gates
from hwprm.pruning.widths.selection import Selection, check_reachable, fill, marginal_costs, select
from hwprm.training.augment import Augmentation
from hwprm.training.devices import threads
from hwprm.training.evaluate import accuracy, check_fit
from hwprm.training.statistics import with_new_statistics

__all__ = [
    "BlockWidth",
    "LayerWidth",
    "Ranking",
    "Widths",
    "check_widths",
    "cut",
    "find_widths",
    "rank_channels",
]


IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
#: Before and after.
Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class LayerWidth:
    """One layer before and after: filters, input channels (each with all its columns), cost.

    A layer that the accelerator has besides those with weights (a sum, a pooling) has a cost only.
    """

    filters: Pair | None
    channels: Pair | None
    cost: Pair


@dataclass(frozen=True, kw_only=True)
class BlockWidth:
    """Channels that the filters of `layers` make together: how many there are, how many stay, how they rank."""

    layers: tuple[str, ...]
    channels: int
    kept: int
    #: Channels whose gate reached 0.
    closed: int
    #: Smallest, median and largest importance.
    importance: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Widths:
    """The widths of a network under a budget; `model` is the narrowed one where it was asked for."""

    cost: str
    before: int
    after: int
    budget: int
    #: Importance of the least important channel that stays by rank; None where only minima stay.
    threshold: float | None
    #: Mean lambda of the steps.
    strength: float
    layers: Mapping[str, LayerWidth]
    blocks: tuple[BlockWidth, ...]
    #: The layers' budgets for structured ADMM.
    budgets: Mapping[str, LayerBudget]
    model: Model | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything but the model, plain JSON; pairs are [before, after]."""
        return {
            "format": WIDTHS,
            "cost": self.cost,
            "before": self.before,
            "after": self.after,
            "budget": self.budget,
            "threshold": self.threshold,
            "lambda": self.strength,
            "layers": {name: record(layer) for name, layer in self.layers.items()},
            "blocks": [asdict(block) for block in self.blocks],
        }

    def to_toml(self) -> str:
        """A configuration whose ``[admm.budgets]`` hand the widths to structured ADMM."""
        lines = ["[admm.budgets]"]
        for name, budget in self.budgets.items():
            values = ", ".join(f"{key} = {value}" for key, value in record(budget).items())
            lines.append(f"{json.dumps(name)} = {{ {values} }}")
        return "\n".join(lines) + "\n"

    def save(self, folder: Path) -> None:
        """Write ``widths.json``, ``widths.toml`` and, where there is one, the narrowed model's folder ``model``."""
        write_file(folder / "widths.json", json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n")
        write_file(folder / "widths.toml", self.to_toml())
        if self.model is not None:
            self.model.save(folder / "model")


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """What was measured to rank the groups by; arrays ``(groups.count,)``."""

    #: Training images that the moments are those of.
    images: IntArray
    moments: Mapping[str, ChannelMoments]
    gates: Gates
    importance: FloatArray
    #: The free groups, most important first.
    order: IntArray


def find_widths(
    model: Model, dataset: Dataset, config: WidthsConfig, meter: Meter, *, progress: Progress = silent
) -> Widths:
    """The widths of `model` (dense) whose cost by `meter` is within the budget of `config`.

    Importance is gate * sqrt(score); one threshold for all layers, found by bisection. With ``config.cut`` the
    narrowed model comes too: the mean of what was cut is in the biases (`compensated`), batch norms have statistics of
    their own, and it is to be trained on. The same inputs give the same bits.
    Raises ModelError for a model that was pruned before, DataError for data without labels or of another shape,
    ConfigError for a budget below the narrowest network or above the whole one.
    """
    if model.stage is not Stage.DENSE:
        raise ModelError(
            f"widths are found on a dense model, this one is {model.stage}: zeros that stand for pruned weights would "
            "be trained away; start from the model that it was pruned from"
        )
    if not dataset.classes:
        why = f" ({dataset.unlabelled})" if dataset.unlabelled else ""
        raise DataError(
            f"the data set {dataset.name} has no labels to find widths with{why}; store one class an image as y"
        )
    check_fit(model.graph, dataset.image_shape, dataset.classes)
    if len(dataset.x_train) < 2:
        raise DataError(f"{dataset.name} has one training image, and variances need two; give more images")
    dataset = replace(dataset, x_train=plain(dataset.x_train))
    blocks = channel_blocks(channel_groups(model.graph))
    before = meter.total(model.graph)
    budget = _budget(blocks, meter, config, before)
    with threads(config.threads):
        ranking = rank_channels(blocks, dataset, config, meter, budget / before, progress=progress)
        ranked = select(blocks, ranking.order, meter, budget, config.round_to)
        kept = fill(blocks, ranking.order, meter, budget, config.round_to, ranked)
        narrowed = None
        if config.cut:
            graph = cut(blocks, kept.keep, ranking, dataset, Augmentation.noted(model.meta))
            narrowed = _model(model, graph, dataset)
    return _widths(blocks, meter, budget, kept, ranking, narrowed)


def check_widths(graph: Graph, config: WidthsConfig, meter: Meter) -> None:
    """Raise ConfigError unless `graph` has widths within the budget of `config`: what `find_widths` looks for."""
    _budget(channel_blocks(channel_groups(graph)), meter, config, meter.total(graph))


def rank_channels(
    blocks: Blocks,
    dataset: Dataset,
    config: WidthsConfig,
    meter: Meter,
    share: float,
    *,
    progress: Progress = silent,
) -> Ranking:
    """Scores, gates for a budget of `share` of the cost, and the rank of all groups by both.

    Cost falls with the square of the widths where a layer's filters and channels shrink alike, so the gates are led to
    the square root of `share`. What a group costs is the mean of what it does in the whole network and in one of
    these widths everywhere, where its readers are as narrow.
    """
    images = np.random.default_rng([config.seed, 0]).permutation(len(dataset.x_train))[: config.images]
    moments = channel_moments(blocks.groups, dataset, images)
    score = scores(blocks.groups, moments)
    total, target = meter.total(blocks.groups.graph), math.sqrt(share)
    costs = (marginal_costs(blocks, meter, total) + marginal_costs(blocks, meter, total, target)) / 2
    gates = find_gates(blocks.groups, costs, target, dataset, config, progress)
    importance = gates.values * np.sqrt(score)
    free = blocks.free
    # Of equal importance (gates at 0) the larger score comes first, then the earlier group.
    order = free[np.lexsort((free, -score[free], -importance[free]))]
    return Ranking(images=images, moments=moments, gates=gates, importance=importance, order=order)


def cut(
    blocks: Blocks, keep: BoolArray, ranking: Ranking, dataset: Dataset, trained: Augmentation | None = None
) -> Graph:
    """The network with the groups `keep` alone, means of the others in the biases, batch norms with new statistics.

    These are of images augmented by `trained`, as they were in training, or as they are.
    """
    filled = replace(blocks.groups, graph=compensated(blocks.groups, ranking.moments, keep))
    return with_new_statistics(narrow(filled, keep), dataset, ranking.images, trained)


def _budget(blocks: Blocks, meter: Meter, config: WidthsConfig, before: int) -> int:
    """The cost that may stay, checked before anything is computed."""
    if not len(blocks.sizes):
        raise ConfigError(
            "widths: no channel of this network can go, all are its inputs, its outputs or those of grouped "
            "convolutions; there is nothing to find"
        )
    budget = int(config.keep * before) if config.budget is None else config.budget
    if budget > before:
        raise ConfigError(
            f"widths.budget = {budget} is more than the whole network takes, {before} {meter.name}; give less"
        )
    least = blocks.rounded(np.zeros_like(blocks.sizes), config.round_to)
    narrowest = narrow(blocks.groups, blocks.first(blocks.free, least))
    check_reachable(meter.total(narrowest), budget, meter, config.round_to)
    return budget


def _model(model: Model, graph: Graph, dataset: Dataset) -> Model:
    done = accuracy(graph, dataset.x_test, dataset.y_test, dataset.input_scale)
    so_far = model.meta.get("waterfall", [])
    rows = [] if so_far else [account(model.graph, model.graph).dense().row(Stage.DENSE.value)]
    rows.append(against(account(graph, graph).dense().row("widths"), so_far or rows))
    return model.advance(
        graph,
        Stage.DENSE,
        data=dataset.name,
        input_scale=dataset.input_scale,
        accuracy={Stage.DENSE.value: done},
        waterfall=rows,
    )


def _widths(
    blocks: Blocks,
    meter: Meter,
    budget: int,
    chosen: Selection,
    ranking: Ranking,
    model: Model | None,
) -> Widths:
    graph = blocks.groups.graph
    small = narrow(blocks.groups, chosen.keep)
    before, after = meter.of(graph), meter.of(small)
    layers: dict[str, LayerWidth] = {}
    budgets: dict[str, LayerBudget] = {}
    for old in graph.weighted:
        new = next(node for node in small.weighted if node.name == old.name)
        filters = (len(old.bias), len(new.bias))
        grouped = isinstance(old, Conv2d) and old.groups > 1
        delta = columns_per_channel(graph, old)
        channels = tuple(
            shapes[old.inputs[0]][0] // (1 if isinstance(old, Conv2d) else delta)
            for shapes in (graph.shapes, small.shapes)
        )
        layers[old.name] = LayerWidth(
            filters=filters,
            channels=(channels[0], channels[1]),
            cost=(before.get(old.name, 0), after.get(old.name, 0)),
        )
        limit = LayerBudget(
            filters=filters[1] if filters[1] < filters[0] and not makes_output(graph, old.name) else None,
            channels=channels[1] if channels[1] < channels[0] and not grouped else None,
        )
        if record(limit):
            budgets[old.name] = limit
    for name in (*before, *(name for name in after if name not in before)):
        if name not in layers:
            layers[name] = LayerWidth(filters=None, channels=None, cost=(before.get(name, 0), after.get(name, 0)))
    return Widths(
        cost=meter.name,
        before=sum(before.values()),
        after=sum(after.values()),
        budget=budget,
        threshold=float(ranking.importance[ranking.order[chosen.ranked - 1]]) if chosen.ranked else None,
        strength=float(np.mean(strengths)) if (strengths := ranking.gates.strengths) else 0.0,
        layers=layers,
        blocks=tuple(_block(blocks, i, int(count), ranking) for i, count in enumerate(chosen.counts)),
        budgets=budgets,
        model=model,
    )


def _block(blocks: Blocks, block: int, kept: int, ranking: Ranking) -> BlockWidth:
    mine = blocks.of == block
    low, middle, high = (float(value) for value in np.quantile(ranking.importance[mine], (0, 0.5, 1)))
    return BlockWidth(
        layers=blocks.layers(block),
        channels=int(mine.sum()),
        kept=kept,
        closed=int((ranking.gates.values[mine] == 0).sum()),
        importance=(low, middle, high),
    )
