"""Gradual shrinking: whole channels and columns leave a network while it trains, ranked over all layers at once.

Groups go with everything that makes or reads them, so that paths agree by construction: P-RM has nothing to repair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import torch

from hwprm.config.limits import HARDWARE_COUNTS
from hwprm.config.shrink import ShrinkConfig
from hwprm.core.errors import ConfigError, ModelError
from hwprm.data import Dataset
from hwprm.graph import Graph, Node
from hwprm.model import MASKED, Model, Stage
from hwprm.nets import GraphModule
from hwprm.pruning.admm.supports import kept_indices
from hwprm.pruning.channels.limits import in_counts
from hwprm.pruning.channels.pattern import Meters, Pattern, cost_of
from hwprm.pruning.compaction.narrowing import narrow, widen
from hwprm.pruning.shrinking.hooks import ShrinkHooks
from hwprm.pruning.shrinking.moments import narrowed, widened
from hwprm.pruning.shrinking.pace import Pace
from hwprm.training.augment import Augmentation
from hwprm.training.checkpoint import Checkpoint, Saved, digest, how_to_resume
from hwprm.training.context import Context, Earlier
from hwprm.training.distributed import Group
from hwprm.training.engine import fit
from hwprm.training.evaluate import held_out_accuracy
from hwprm.training.samples import Samples

__all__ = ["refuse_stuck", "shrink", "shrink_limits"]


def shrink(
    model: Model,
    dataset: Dataset,
    config: ShrinkConfig,
    context: Context | None = None,
    *,
    meters: Meters | None = None,
) -> Model:
    """Shrink `model` (dense, or pruned before: its zeros stay) until `config`'s count is at most what it asks for.

    Batch, seed, threads, augmentation and optimiser are those of `context`. Training goes in rounds of one epoch, each
    on the network without its zero channels, so that it gets faster as the network gets smaller. A checkpoint keeps
    every round that ended above the limit: a run with a lower limit, all else equal, starts from the last of them.
    `meters` count what is hardware's, by the count's name. The result has the shapes of `model`; its meta holds the
    test accuracy (per cent), the ``plan``, seconds and, per epoch, in ``log`` the count ``left``. Raises ConfigError
    for a limit that cannot be met, ModelError for a model that is purified or compact, and what `fit` raises.
    """
    if model.stage not in (Stage.DENSE, *MASKED):
        raise ModelError(f"shrinking works on a dense or masked model, this one is {model.stage}; start from those")
    context = context or Context()
    base = context.config
    limits = shrink_limits(model.graph, config, meters)
    options = replace(base, lr=config.lr, schedule="constant", warmup=0.0, average=0.0)
    run = _Rounds(model.graph, dataset, config, replace(context, config=options), limits, meters)
    run.go()
    return model.advance(
        run.graph,
        Stage.SHRUNK,
        data=dataset.name,
        input_scale=dataset.input_scale,
        seed=base.seed,
        augmentation=Augmentation.of(base, dataset.name).to_json(),
        accuracy={"shrunk": held_out_accuracy(run.graph, dataset, base)},
        seconds={"shrunk": run.seconds},
        plan=kept_indices(GraphModule(run.graph)),
        log=[{"stage": "shrink", "epoch": i + 1, **entry} for i, entry in enumerate(run.history)],
    )


def refuse_stuck(hooks: ShrinkHooks) -> None:
    """Raise ModelError when nothing more can go and the limits are not met."""
    if hooks.stuck:
        course = hooks.course
        many = ", ".join(f"{left} ({name})" for left, name in zip(hooks.pattern.counts, course.counts, strict=True))
        raise ModelError(
            f"shrinking ends at {many}, nothing more can go, the limit is "
            f"{', '.join(str(limit) for limit in course.limits)}; raise shrink.left or lower shrink.compression"
        )


def shrink_limits(graph: Graph, config: ShrinkConfig, meters: Meters | None = None) -> tuple[int, ...]:
    """How much of each of `config`'s counts may be left of `graph`. Raises ConfigError when that cannot be met."""
    full = dict(zip(config.counts, Pattern.of(graph, *config.counts, meters=meters).counts, strict=True))
    for name, count in full.items():
        if not count:
            raise ConfigError(f"shrink counts {name}: the network has none of these; count all_weights")
    own = int(full[config.count] / config.compression) if config.left is None else config.left
    found: dict[str, int] = {
        config.count: _checked(graph, config.count, own, full, "shrink.compression or shrink.left")
    }
    for name, ratio in (config.also or {}).items():
        found[name] = _checked(graph, name, int(full[name] / ratio), full, "shrink.also")
    for name, number in in_counts(config.limits or {}, config.clock, meters or {}).items():
        # What is met already is no limit, and may be one that the network falls below by itself.
        limit = _checked(graph, name, min(number, full[name]), full, "shrink.limits")
        found[name] = min(limit, found.get(name, limit))
    return tuple(found[name] for name in config.counts)


def _checked(graph: Graph, count: str, limit: int, full: Mapping[str, int], mend: str) -> int:
    """`limit`. Raises ConfigError where it is below the least that can be left, or above what there is."""
    cost = cost_of(graph, count)
    # The least that can be left: one channel between any two layers, one column each.
    last = _last(graph)
    least = sum(cost[node.name] * (len(node.bias) if node.name in last else 1) for node in graph.weighted)
    if count in HARDWARE_COUNTS:
        least = len(graph.weighted)  # where shrinking really ends shows on the way
    if limit < least or limit > full[count]:
        raise ConfigError(
            f"shrink asks for at most {limit} of {full[count]} ({count}), the network can be shrunk to "
            f"{least}..{full[count]}; mend {mend}"
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
        context: Context,
        limits: tuple[int, ...],
        meters: Meters | None,
    ) -> None:
        self.meters = meters or {}
        self.graph, self.dataset, self.config, self.context = graph, dataset, config, context
        self.train, self.checkpoint, self.limits = context.config, context.checkpoint, limits
        self.full = Pattern.of(graph, *config.counts, meters=meters).counts
        self.pace = Pace(config, self.full, limits)
        #: State of the optimiser, of the whole network's parameters.
        self.moments: dict[str, torch.Tensor] = {}
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []

    def go(self) -> None:
        """Rounds until the limit is reached, those kept in the checkpoint taken from there."""
        try:
            self._go()
        except KeyboardInterrupt as stop:
            raise type(stop)(how_to_resume(f"epoch {len(self.history) + 1} of shrink", self.checkpoint)) from None

    def _go(self) -> None:
        identity, checkpoint = self._identity(), self.checkpoint
        if checkpoint is not None:
            self._take_up(checkpoint, identity)
        while self.pace.is_over(self.left):
            hooks = self._round()
            refuse_stuck(hooks)
            if checkpoint is not None and self.pace.is_over(self.left):
                self._keep(checkpoint, identity)

    @property
    def left(self) -> tuple[int, ...]:
        """What is left now of each count."""
        return self._left(self.history[-1]) if self.history else self.full

    def _left(self, entry: Mapping[str, float]) -> tuple[int, ...]:
        return tuple(int(entry[key]) for key in ("left", *(f"left_{name}" for name in self.config.counts[1:])))

    def _round(self) -> ShrinkHooks:
        number = len(self.history)
        small, keep = narrow(self.graph)
        module = GraphModule(small)
        steps = math.ceil(len(self.dataset.y_train) / self.train.batch)
        hooks = ShrinkHooks(module, self.config, self.pace.course(number, steps), self.meters)
        rounds = self.pace.rounds(number)

        def tell(stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
            self.context.progress("shrink", number * total + done, rounds * total, metrics)

        result = fit(
            module,
            self.dataset,
            replace(self.context, config=replace(self.train, epochs=1), progress=tell, checkpoint=None),
            stage="shrink",
            hooks=hooks,
            earlier=Earlier(
                losses=[entry["loss"] for entry in self.history], moments=narrowed(self.moments, self.graph, keep)
            ),
        )
        if self.config.keep_moments:
            self.moments = widened(result.moments, small, self.graph, keep)
        self.graph = widen(module.to_graph(), self.graph, keep)
        self.seconds += result.seconds
        self.history += result.history
        return hooks

    def _identity(self) -> str:
        """Digest of everything that a round depends on, which the limit is not."""
        samples = Samples(self.dataset, self.graph, self.context, torch.float32)
        # With several counts, how fast one falls depends on how far the others do.
        options = self.config if len(self.config.counts) > 1 else replace(self.config, compression=1.0, left=None)
        texts: tuple[str, ...] = (repr(self.graph.structure), repr(options), repr(self.train), samples.digest())
        texts = (*texts, *(self.meters[name].key for name in self.config.metered))
        return digest(_tensors(self.graph), *texts)

    def _take_up(self, checkpoint: Checkpoint, identity: str) -> None:
        for saved in Group.current().from_first(lambda: self._rounds(checkpoint, identity)):
            self.graph = _with_tensors(self.graph, saved.tensors)
            head = "moments/"
            self.moments = {k.removeprefix(head): v for k, v in saved.tensors.items() if k.startswith(head)}
            self.history += saved.history
            self.seconds = saved.seconds

    def _rounds(self, checkpoint: Checkpoint, identity: str) -> list[Saved]:
        """The first rounds, as far as more than the limit was left."""
        found: list[Saved] = []
        for phase in checkpoint.phases("shrink-"):
            saved = checkpoint.load(phase, identity)
            if saved is None or saved.epoch != len(found) + 1 or not self.pace.is_over(self._left(saved.history[-1])):
                break
            found.append(saved)
        return found

    def _keep(self, checkpoint: Checkpoint, identity: str) -> None:
        number = len(self.history)
        tensors = _tensors(self.graph) | {f"moments/{name}": value for name, value in self.moments.items()}
        saved = Saved(epoch=number, history=self.history[-1:], seconds=self.seconds, tensors=tensors)
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
