"""Gates on channel groups, made smaller by their cost while the loss holds against it: proximal gradient (ISTA)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hwprm.config.widths import WidthsConfig
from hwprm.core.errors import ModelError
from hwprm.core.progress import Progress
from hwprm.data import Dataset
from hwprm.graph import Node
from hwprm.nets import GraphModule
from hwprm.pruning.channels.groups import ChannelGroups
from hwprm.training.statistics import image_batches

__all__ = ["Gates", "find_gates"]

FloatArray = NDArray[np.float64]

#: Share of the steps in which the gates' total cost is led to its target; the rest is spent there.
DESCENT = 0.75
#: Halvings in the search for a step's lambda.
HALVINGS = 60


@dataclass(frozen=True, kw_only=True, eq=False)
class Gates:
    """The gates ``(groups.count,)`` after the last step (1 where a group must stay), and the lambda of each step."""

    values: FloatArray
    strengths: tuple[float, ...]


class GatedModule(GraphModule):
    """`GraphModule`, weights frozen, in which every layer in `groups.cols` sees each channel times its group's gate."""

    def __init__(self, groups: ChannelGroups) -> None:
        super().__init__(groups.graph)
        self.requires_grad_(False)
        self.eval()
        #: ``(groups.count,)``.
        self.gates = torch.ones(groups.count, dtype=next(self.parameters()).dtype)
        self.reads = {
            node.name: torch.from_numpy(groups.of[node.inputs[0]])
            for node in groups.graph.weighted
            if node.name in groups.cols
        }

    def _compute(self, node: Node, x: Tensor, *more: Tensor) -> Tensor:
        if node.name in self.reads:
            x = x * self.gates[self.reads[node.name]].reshape(-1, *[1] * (x.ndim - 2))
        return super()._compute(node, x, *more)


def find_gates(
    groups: ChannelGroups,
    costs: FloatArray,
    target: float,
    dataset: Dataset,
    config: WidthsConfig,
    progress: Progress,
) -> Gates:
    """The gates of least cross entropy + lambda * sum(costs * gates), weights frozen, from 1 on.

    Each step draws a batch, takes the gradient of the cross entropy, then ``g <- max(0, g - lr * lambda * costs)``.
    Without ``config.strength`` each step takes the smallest lambda that brings sum(costs * g) down to a bound, which
    falls from the full sum to `target` of it: the projection onto that bound. A step is taken back, and the bound with
    it, where the loss grows and comes nearer to that of guessing than to the least so far: a network that knows nothing
    has no gradient that says what it needs, and where all gates of a layer are closed those before it get none at all.
    `costs` ``(count,)``, 0 for groups that must stay. Raises ModelError when the loss stops being finite.
    """
    module = GatedModule(groups)
    names = [node.name for node in groups.graph.inputs]
    free = torch.from_numpy(~groups.fixed)
    rng = np.random.default_rng([config.seed, 1])

    def judged(gates: FloatArray) -> tuple[float, FloatArray]:
        """Loss of a batch, and its gradient."""
        chosen = rng.choice(len(dataset.y_train), min(config.batch, len(dataset.y_train)), replace=False)
        module.gates = torch.from_numpy(gates).to(module.gates.dtype).requires_grad_()
        output = module(*image_batches(dataset, names, chosen, module.gates.dtype))
        loss = functional.cross_entropy(output, torch.from_numpy(dataset.y_train[chosen]))
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        assert module.gates.grad is not None
        return float(loss.detach()), (module.gates.grad * free).double().numpy()

    gates = known = np.ones(groups.count)
    if not config.steps:
        return Gates(values=gates, strengths=())
    accepted = least = math.inf
    falls = 0
    strengths = []
    for step in range(config.steps + 1):
        loss, gradient = judged(gates)
        if not math.isfinite(loss):
            raise ModelError(
                f"widths: the loss is {loss} in step {step + 1} of {config.steps}; lower widths.lr (now {config.lr:g})"
            )
        least = min(least, loss)
        lost = loss > max(accepted, (least + math.log(dataset.classes)) / 2)
        if lost:
            gates, falls = known, max(0, falls - 2)
        if step == config.steps:
            break
        if not lost:
            known, accepted, falls = gates, loss, falls + 1
            bound = costs.sum() * (1 - (1 - target) * min(1.0, falls / max(1.0, DESCENT * config.steps)))
            moved = gates - config.lr * gradient
            strength = _strength(moved, config.lr * costs, costs, bound) if config.strength is None else config.strength
            gates = np.where(groups.fixed, 1.0, np.maximum(0.0, moved - config.lr * strength * costs))
            strengths.append(strength)
        left = float((costs * gates).sum() / max(costs.sum(), np.finfo(np.float64).tiny))
        progress("widths", step + 1, config.steps, {"loss": loss, "gates": left, "lambda": strengths[-1]})
    return Gates(values=gates, strengths=tuple(strengths))


def _strength(gates: FloatArray, slope: FloatArray, costs: FloatArray, bound: float) -> float:
    """The smallest lambda >= 0 with ``sum(costs * max(0, gates - lambda * slope)) <= bound``."""

    def total(strength: float) -> float:
        return float((costs * np.maximum(0.0, gates - strength * slope)).sum())

    if total(0.0) <= bound:
        return 0.0
    costly = slope > 0
    low, high = 0.0, float((gates[costly] / slope[costly]).max())
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if total(middle) <= bound else (middle, high)
    return high
