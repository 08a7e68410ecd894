"""Gradual shrinking: whole channels and columns leave a network while it trains, ranked over all layers at once.

Groups go with everything that makes or reads them, so that paths agree by construction: P-RM has nothing to repair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import torch

from hwprm.config.shrink import ShrinkConfig
from hwprm.config.train import TrainConfig
from hwprm.core.errors import ConfigError, ModelError
from hwprm.core.progress import Progress, silent
from hwprm.data import Dataset
from hwprm.graph import Graph, Node
from hwprm.model import MASKED, Model, Stage
from hwprm.nets import GraphModule
from hwprm.pruning.admm.supports import kept_indices
from hwprm.pruning.compaction.narrowing import narrow, widen
from hwprm.pruning.shrinking.hooks import Pattern, ShrinkHooks, cost_of
from hwprm.training.checkpoint import Checkpoint, Saved, digest, how_to_resume
from hwprm.training.distributed import Group
from hwprm.training.engine import fit
from hwprm.training.evaluate import held_out_accuracy
from hwprm.training.samples import Samples

__all__ = ["shrink", "shrink_limit"]


def shrink(
    model: Model,
    dataset: Dataset,
    config: ShrinkConfig,
    *,
    train: TrainConfig | None = None,
    progress: Progress = silent,
    checkpoint: Checkpoint | None = None,
    teacher: Graph | None = None,
) -> Model:
    """Shrink `model` (dense, or pruned before: its zeros stay) until `config`'s count is at most what it asks for.

    Batch, seed, threads, augmentation and optimiser come from `train`. Training goes in rounds of one epoch, each on
    the network without its zero channels, so that it gets faster as the network gets smaller. A checkpoint keeps every
    round that ended above the limit: a run with a lower limit, all else equal, starts from the last of them.
    The result has the shapes of `model`; its meta holds the test accuracy (per cent), the ``plan``, seconds and, per
    epoch, in ``log`` the count ``left``. Raises ConfigError for a limit that cannot be met, ModelError for a model
    that is purified or compact, and what `fit` raises.
    """
    if model.stage not in (Stage.DENSE, *MASKED):
        raise ModelError(f"shrinking works on a dense or masked model, this one is {model.stage}; start from those")
    base = train if train is not None else TrainConfig()
    limit = shrink_limit(model.graph, config)
    options = replace(base, lr=config.lr, schedule="constant", warmup=0.0)
    run = _Rounds(model.graph, dataset, config, options, limit, teacher)
    run.go(progress, checkpoint)
    return model.advance(
        run.graph,
        Stage.SHRUNK,
        data=dataset.name,
        input_scale=dataset.input_scale,
        seed=base.seed,
        accuracy={"shrunk": held_out_accuracy(run.graph, dataset, base)},
        seconds={"shrunk": run.seconds},
        plan=kept_indices(GraphModule(run.graph)),
        log=[{"stage": "shrink", "epoch": i + 1, **entry} for i, entry in enumerate(run.history)],
    )


def shrink_limit(graph: Graph, config: ShrinkConfig) -> int:
    """How much of `config`'s count may be left of `graph`. Raises ConfigError when that cannot be met."""
    cost = cost_of(graph, config.count)
    full = sum(cost[node.name] * node.weight.size for node in graph.weighted)
    if not full:
        raise ConfigError(f"shrink.count = {config.count}: the network has none of these; count all_weights")
    limit = int(full / config.compression) if config.left is None else config.left
    # The least that can be left: one channel between any two layers, one column each.
    least = sum(cost[node.name] * (len(node.bias) if node.name in _last(graph) else 1) for node in graph.weighted)
    if limit < least or limit > full:
        raise ConfigError(
            f"shrink asks for at most {limit} of {full} ({config.count}), the network can be shrunk to "
            f"{least}..{full}; mend shrink.compression or shrink.left"
        )
    return limit


def _last(graph: Graph) -> set[str]:
    """Layers whose rows must stay."""
    groups = Pattern.of(graph, "all_weights").groups
    return {name for name, ids in groups.rows.items() if groups.fixed[ids].all()}


class _Rounds:
    """The epochs of one `shrink`."""

    def __init__(
        self,
        graph: Graph,
        dataset: Dataset,
        config: ShrinkConfig,
        train: TrainConfig,
        limit: int,
        teacher: Graph | None,
    ) -> None:
        self.graph, self.dataset, self.config, self.train = graph, dataset, config, train
        self.limit, self.teacher = limit, teacher
        self.full = Pattern.of(graph, config.count).count
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []

    def go(self, progress: Progress, checkpoint: Checkpoint | None) -> None:
        """Rounds until the limit is reached, those kept in `checkpoint` taken from there."""
        try:
            self._go(progress, checkpoint)
        except KeyboardInterrupt as stop:
            raise type(stop)(how_to_resume(f"epoch {len(self.history) + 1} of shrink", checkpoint)) from None

    def _go(self, progress: Progress, checkpoint: Checkpoint | None) -> None:
        identity = self._identity()
        if checkpoint is not None:
            self._take_up(checkpoint, identity)
        while self.left > self.limit:
            hooks = self._round(progress)
            if hooks.stuck:
                raise ModelError(
                    f"shrinking ends at {self.left} ({self.config.count}), nothing more can go, the limit is "
                    f"{self.limit}; raise shrink.left or lower shrink.compression"
                )
            if checkpoint is not None and self.left > self.limit:
                self._keep(checkpoint, identity)

    @property
    def left(self) -> int:
        """What is left now."""
        return int(self.history[-1]["left"]) if self.history else self.full

    def _round(self, progress: Progress) -> ShrinkHooks:
        number = len(self.history)
        small, keep = narrow(self.graph)
        module = GraphModule(small)
        steps = math.ceil(len(self.dataset.y_train) / self.train.batch)
        hooks = ShrinkHooks(module, self.config, self.limit, self.full / self.config.rate**number, steps)
        rounds = max(number + 1, math.ceil(math.log(self.full / self.limit) / math.log(self.config.rate)))

        def tell(stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
            progress("shrink", number * total + done, rounds * total, metrics)

        options = replace(self.train, epochs=1)
        result = fit(
            module,
            self.dataset,
            options,
            stage="shrink",
            hooks=hooks,
            progress=tell,
            teacher=self.teacher,
            earlier=[entry["loss"] for entry in self.history],
        )
        self.graph = widen(module.to_graph(), self.graph, keep)
        self.seconds += result.seconds
        self.history += result.history
        return hooks

    def _identity(self) -> str:
        """Digest of everything that a round depends on, which the limit is not."""
        samples = Samples(self.dataset, self.graph, self.train, torch.float32, self.teacher)
        options = replace(self.config, compression=1.0, left=None)
        texts = (repr(self.graph.structure), repr(options), repr(self.train), samples.digest())
        return digest(_tensors(self.graph), *texts)

    def _take_up(self, checkpoint: Checkpoint, identity: str) -> None:
        for saved in Group.current().from_first(lambda: self._rounds(checkpoint, identity)):
            self.graph = _with_tensors(self.graph, saved.tensors)
            self.history += saved.history
            self.seconds = saved.seconds

    def _rounds(self, checkpoint: Checkpoint, identity: str) -> list[Saved]:
        """The first rounds, as far as more than the limit was left."""
        found: list[Saved] = []
        for phase in checkpoint.phases("shrink-"):
            saved = checkpoint.load(phase, identity)
            if saved is None or saved.epoch != len(found) + 1 or saved.history[-1]["left"] <= self.limit:
                break
            found.append(saved)
        return found

    def _keep(self, checkpoint: Checkpoint, identity: str) -> None:
        number = len(self.history)
        saved = Saved(epoch=number, history=self.history[-1:], seconds=self.seconds, tensors=_tensors(self.graph))
        Group.current().from_first(lambda: checkpoint.save(f"shrink-{number:03}", identity, saved))


def _tensors(graph: Graph) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in graph.arrays.items()}


def _with_tensors(graph: Graph, tensors: Mapping[str, torch.Tensor]) -> Graph:
    changed: list[Node] = []
    for node in graph.nodes:
        names = [field.name for field in fields(node) if f"{node.name}.{field.name}" in tensors]
        arrays: dict[str, Any] = {name: tensors[f"{node.name}.{name}"].numpy() for name in names}
        changed.append(replace(node, **arrays))
    return graph.replace(*changed)
