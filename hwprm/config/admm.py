"""ADMM: how much of each layer stays, and how the optimisation gets there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hwprm.core.errors import ConfigError

__all__ = ["ADMM_MODES", "ADMM_STRUCTURES", "AdmmConfig", "LayerBudget"]

ADMM_MODES = ("sequential", "joint")
ADMM_STRUCTURES = ("structured", "unstructured")


@dataclass(frozen=True, kw_only=True)
class LayerBudget:
    """How many rows and columns of one layer's matrix ``(M, C*KH*KW)`` may stay; None leaves all."""

    #: Filters (rows; neurons of a linear layer). Not for the output layer, whose rows are the classes.
    filters: int | None = None
    #: Columns: positions (channel, ky, kx) that all filters share; inputs of a linear layer.
    columns: int | None = None
    #: Input channels: groups of KH*KW columns; behind a flatten, groups of the H*W columns of one map.
    channels: int | None = None
    #: Single weights, those of greatest magnitude, wherever they are; with no other limit.
    weights: int | None = None
    #: Filters and channels in multiples of this; None takes `admm.round_to`.
    round_to: int | None = None

    def __post_init__(self) -> None:
        for name in ("filters", "columns", "channels", "weights"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ConfigError(f"admm.budgets.{name} must be 1 or more, or left out to keep all, not {value!r}")
        if self.round_to is not None and (not isinstance(self.round_to, int) or self.round_to < 1):
            raise ConfigError(f"admm.budgets.round_to must be 1 or more, not {self.round_to!r}")
        if self.weights is not None and (self.filters, self.columns, self.channels) != (None, None, None):
            raise ConfigError("admm.budgets: weights goes with no other limit; leave out filters, columns and channels")


@dataclass(frozen=True, kw_only=True)
class AdmmConfig:
    """ADMM, hard pruning and masked retraining."""

    #: Budget per layer name; None takes budgets that reach about `compression` on all weights.
    budgets: Mapping[str, LayerBudget] | None = None
    #: Weights before by weights after, all layers together; read only where `budgets` is None.
    compression: float = 40.0
    #: structured (whole filters and columns) or unstructured (single weights); read only where `budgets` is None.
    structure: str = "structured"
    #: Filters and channels of every budget in multiples of this, so that filters fill whole tiles of the array: the
    #: nearest multiple, one at least, never above the layer. Purification and unused paths may take more afterwards.
    round_to: int = 1
    #: Columns of every budget in multiples of this.
    round_columns_to: int = 1
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
        if self.structure not in ADMM_STRUCTURES:
            raise ConfigError(f"admm.structure must be one of {', '.join(ADMM_STRUCTURES)}, not {self.structure!r}")
        lowest = {"stages": 1, "epochs": 1, "retrain_epochs": 0, "final_epochs": 0, "interval": 1}
        for name, low in (lowest | {"round_to": 1, "round_columns_to": 1}).items():
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
