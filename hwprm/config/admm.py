"""Structured ADMM: how much of each layer stays, and how the optimisation gets there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hwprm.errors import ConfigError

__all__ = ["ADMM_MODES", "AdmmConfig", "LayerBudget"]

ADMM_MODES = ("sequential", "joint")


@dataclass(frozen=True, kw_only=True)
class LayerBudget:
    """How many rows and columns of one layer's matrix ``(M, C*KH*KW)`` may stay; None leaves all."""

    #: Filters (rows; neurons of a linear layer). Not for the output layer, whose rows are the classes.
    filters: int | None = None
    #: Columns: positions (channel, ky, kx) that all filters share; inputs of a linear layer.
    columns: int | None = None
    #: Input channels: groups of KH*KW columns; behind a flatten, groups of the H*W columns of one map.
    channels: int | None = None

    def __post_init__(self) -> None:
        for name in ("filters", "columns", "channels"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ConfigError(f"admm.budgets.{name} must be 1 or more, or left out to keep all, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class AdmmConfig:
    """Structured ADMM, hard pruning and masked retraining."""

    #: Budget per layer name; None takes budgets that reach about `compression` on all weights.
    budgets: Mapping[str, LayerBudget] | None = None
    #: Weights before by weights after, all layers together; read only where `budgets` is None.
    compression: float = 40.0
    #: sequential (columns and channels, retrain, then filters, retrain) or joint (all constraints at once).
    mode: str = "joint"
    #: Progressive steps of each part, the budgets shrinking geometrically; at most 4x a step converges well.
    stages: int = 2
    #: Epochs of ADMM in each step.
    epochs: int = 2
    #: Epochs of masked retraining between steps.
    retrain_epochs: int = 1
    #: Epochs of masked retraining at the very end.
    final_epochs: int = 8
    #: Epochs between updates of Z and U; less than one epoch lets the residual grow.
    interval: int = 1
    #: Penalty rho at the first update; below 1e-2 the residual tends to grow.
    rho_start: float = 0.02
    #: Penalty rho at the last update of a step; in between it grows geometrically.
    rho_end: float = 0.5
    #: Learning rate of ADMM steps.
    lr: float = 2e-3
    #: Learning rate of masked retraining.
    retrain_lr: float = 4e-3
    #: Count a filter that no later layer reads as empty when choosing filters (the papers do not).
    path_aware: bool = True
    #: An ADMM step whose relative primal residual exceeds this many times its first value is stopped as diverged.
    residual_limit: float = 2.0

    def __post_init__(self) -> None:
        if self.mode not in ADMM_MODES:
            raise ConfigError(f"admm.mode must be one of {', '.join(ADMM_MODES)}, not {self.mode!r}")
        for name, low in (("stages", 1), ("epochs", 1), ("retrain_epochs", 0), ("final_epochs", 0), ("interval", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= 10_000:
                raise ConfigError(f"admm.{name} must be a whole number in {low}..10000, not {value!r}")
        for name in ("rho_start", "rho_end", "lr", "retrain_lr", "residual_limit", "compression"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value <= 0:
                raise ConfigError(f"admm.{name} must be a number above 0, not {value!r}")
        if self.rho_end < self.rho_start:
            raise ConfigError(f"admm.rho_end ({self.rho_end:g}) must not be below admm.rho_start ({self.rho_start:g})")
        if self.compression < 1:
            raise ConfigError(f"admm.compression must be 1 or more, not {self.compression!r}")
        if self.interval > self.epochs:
            raise ConfigError(f"admm.interval ({self.interval}) must not exceed admm.epochs ({self.epochs})")
        if not isinstance(self.path_aware, bool):
            raise ConfigError(f"admm.path_aware must be true or false, not {self.path_aware!r}")
