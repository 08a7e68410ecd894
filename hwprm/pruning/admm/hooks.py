"""The W, Z, U iteration of ADMM inside the training engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hwprm.config.admm import AdmmConfig
from hwprm.core.errors import ModelError
from hwprm.nets import GraphModule
from hwprm.pruning.admm.projections import Limits
from hwprm.pruning.admm.supports import choose_supports
from hwprm.pruning.statistics import norm_gains
from hwprm.training.hooks import Hooks
from hwprm.training.masks import ZeroMasks

__all__ = ["LEAST", "AdmmHooks"]

#: Steps of the optimiser between two updates of Z and U at least: with fewer W does not follow.
LEAST = 4


class AdmmHooks(Hooks):
    """Scaled ADMM (Ma et al., arXiv 1905.00136, equations 4 to 7), zeros of the start frozen.

    W: the optimiser on loss + sum of rho/2 * ||W - Z + U||^2. `updates` times at each of `rhos` penalties, evenly over
    the steps of the phase (fewer where it has few), Z becomes the projection of W + U onto the limits and U grows by
    `dual_step` of W - Z: several times at the same rho, or U stays near zero and rho alone pulls, which is a penalty
    method; by less than the whole, as between two updates W has only begun to follow and U would overshoot. Before: Z =
    projection of W, U = 0. When rho changes, U is scaled by old / new so that the unscaled dual rho * U stays what it
    was. Where `begin` was not told how many steps there are, Z and U are updated behind each of the `epochs`.
    """

    def __init__(self, module: GraphModule, limits: Mapping[str, Limits], config: AdmmConfig, epochs: int) -> None:
        self.graph, self.limits, self.config = module.graph, dict(limits), config
        self.masks = ZeroMasks.of(module)
        #: Steps of the optimiser in all, of which `step` are over; 0 where nobody said.
        self.steps = self.step = 0
        #: Updates of Z and U in all, of which `done` are over; those since the last epoch's end.
        self.updates, self.done, self.recent = epochs, 0, list[dict[str, float]]()
        self.rho = config.rho_start
        weights = {name: module.weight(name).detach().clone() for name in self.limits}
        self.u = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        self.z = self._project(module)
        self.targets = self._targets()
        self.start = {name: _relative(weights[name], self.z[name]) for name in weights}

    def begin(self, steps: int) -> None:
        if steps:
            wanted = self.config.updates * self.config.rhos
            self.steps, self.updates = steps, max(1, min(steps // LEAST, wanted))

    def to(self, device: torch.device) -> None:
        self.masks.to(device)
        self.u = {name: u.to(device) for name, u in self.u.items()}
        self.z = {name: z.to(device) for name, z in self.z.items()}
        self.targets = self._targets()

    def after_backward(self, module: GraphModule) -> None:
        """Add the penalty's gradient, rho * (W - Z + U): the term itself need not be computed for that."""
        for name, target in self.targets.items():
            weight = module.weight(name)
            if weight.grad is not None:
                weight.grad.add_(weight - target, alpha=self.rho)
        self.masks.after_backward(module)

    def penalty(self, module: GraphModule) -> Tensor:
        """The term itself, with its gradient, for a loss that it is added to; `after_backward` must then not add it."""
        return 0.5 * self.rho * torch.stack(self._terms(module)).sum()

    def after_step(self, module: GraphModule) -> None:
        self.masks.after_step(module)
        self.step += 1
        if self.steps and self.step * self.updates // self.steps > self.done:
            self._update(module)

    def after_epoch(self, module: GraphModule, epoch: int, epochs: int) -> Mapping[str, Any]:
        """The last update's relative primal and dual residuals per layer, its rho and penalty; all of the epoch as
        ``updates``.

        Raises ModelError when a primal residual has grown past the limit.
        """
        if not self.steps:
            self._update(module)
        recent, self.recent = self.recent, []
        if not recent:
            return {}
        for name in self.limits:
            self._refuse_divergence(name, recent[-1][f"primal.{name}"], epoch)
        return {**recent[-1], "updates": recent}

    def state(self) -> dict[str, Tensor]:
        scalars = {"rho": torch.tensor(self.rho, dtype=torch.float64), "at": torch.tensor([self.step, self.done])}
        for name in self.z:
            scalars |= {f"start.{name}": torch.tensor(self.start[name], dtype=torch.float64)}
            scalars |= {f"z.{name}": self.z[name], f"u.{name}": self.u[name]}
        return scalars | self.masks.state()

    def options(self) -> str:
        config = self.config
        return f"{config.updates} {config.rhos} {config.dual_step!r} {config.rho_end!r} {config.path_aware}"

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.masks.load_state(state)
        self.rho = float(state["rho"])
        self.step, self.done = (int(count) for count in state["at"])
        for name in self.z:
            self.z[name].copy_(state[f"z.{name}"])
            self.u[name].copy_(state[f"u.{name}"])
            self.start[name] = float(state[f"start.{name}"])
        self.targets = self._targets()

    def _update(self, module: GraphModule) -> None:
        """Z and U, then rho for the steps to come."""
        metrics = {"rho": self.rho, "penalty": 0.5 * self.rho * sum(float(term) for term in self._terms(module))}
        old = self.z
        self.z = self._project(module)
        for name, z in self.z.items():
            weight = module.weight(name).detach()
            self.u[name] += self.config.dual_step * (weight - z)
            metrics[f"primal.{name}"] = _relative(weight, z)
            metrics[f"dual.{name}"] = self.rho * float((z - old[name]).norm())
            if not self.done:  # a layer that was within its limits before its neighbours' were known
                self.start[name] = max(self.start[name], metrics[f"primal.{name}"])
        self.recent.append(metrics)
        self.done += 1
        self._next_rho()
        self.targets = self._targets()

    def _terms(self, module: GraphModule) -> list[Tensor]:
        """||W - Z + U||^2 of every limited layer."""
        return [(module.weight(name) - target).square().sum() for name, target in self.targets.items()]

    def _targets(self) -> dict[str, Tensor]:
        """What the penalty pulls W towards, Z - U; made once per update, read at every step."""
        return {name: z - self.u[name] for name, z in self.z.items()}

    def _project(self, module: GraphModule) -> dict[str, Tensor]:
        """Projection of W + U for every limited layer, shaped as its weight."""
        matrices = {}
        for node in self.graph.weighted:
            weight = module.weight(node.name).detach()
            total = weight + self.u[node.name] if node.name in self.u else weight
            matrices[node.name] = total.reshape(len(total), -1).contiguous().cpu().numpy()
        gains = norm_gains(module.to_graph())
        chosen = choose_supports(self.graph, matrices, self.limits, self.config.path_aware, gains)
        result = {}
        for name in self.limits:
            like = self.u[name]
            values = np.where(chosen[name].mask, matrices[name], matrices[name].dtype.type(0))
            result[name] = torch.empty_like(like).copy_(torch.from_numpy(values).reshape(like.shape))
        return result

    def _next_rho(self) -> None:
        """Geometric from rho_start to rho_end, as many updates at each."""
        config = self.config
        place = min(self.done * config.rhos // self.updates, config.rhos - 1)
        share = place / (config.rhos - 1) if config.rhos > 1 else 0.0
        new = config.rho_start * (config.rho_end / config.rho_start) ** share
        if new != self.rho:
            for u in self.u.values():
                u *= self.rho / new
            self.rho = new

    def _refuse_divergence(self, name: str, primal: float, epoch: int) -> None:
        limit = self.config.residual_limit
        if primal > limit * self.start[name] and primal > 0.1:
            raise ModelError(
                f"ADMM diverges: after epoch {epoch} the primal residual of {name!r} is {primal:.3f}, more than "
                f"{limit:g} times the {self.start[name]:.3f} it began with; raise admm.rho_start (now "
                f"{self.config.rho_start:g}), lower admm.lr (now {self.config.lr:g}) or take more admm.stages"
            )


def _relative(weight: Tensor, z: Tensor) -> float:
    """||W - Z|| / ||W||, 0 for an empty layer."""
    norm = float(weight.norm())
    return float((weight - z).norm()) / norm if norm else 0.0
