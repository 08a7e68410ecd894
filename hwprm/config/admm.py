"""ADMM: how much of each layer stays, and how the optimisation gets there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_doc import Doc
from annotated_types import Ge, Interval

from hwprm.config.kinds import AboveZero, Clock, MaybeRepeats, Positive, Repeats
from hwprm.config.limits import HARDWARE_COUNTS, Limit, check_limits, counted
from hwprm.config.section import Section
from hwprm.core.errors import ConfigError

__all__ = ["AdmmConfig", "AdmmPreset", "LayerBudget"]

#: Names of tuned budgets; `hwprm.pruning.admm.budgets` has them.
AdmmPreset = Literal["auto", "none", "lenet5-40x"]


@dataclass(frozen=True, kw_only=True)
class LayerBudget(Section, section="admm.budgets"):
    """How many rows and columns of one layer's matrix ``(M, C*KH*KW)`` may stay; None leaves all."""

    filters: Annotated[
        Positive | None,
        Doc("Filters (rows; neurons of a linear layer). Not for the output layer, whose rows are the classes."),
    ] = None
    columns: Annotated[
        Positive | None, Doc("Columns: positions (channel, ky, kx) that all filters share; inputs of a linear layer.")
    ] = None
    channels: Annotated[
        Positive | None,
        Doc("Input channels: groups of KH*KW columns; behind a flatten, groups of the H*W columns of one map."),
    ] = None
    weights: Annotated[
        Positive | None, Doc("Single weights, those of greatest magnitude, wherever they are; with no other limit.")
    ] = None
    round_to: Annotated[
        Positive | None, Doc("Filters and channels in multiples of this; None takes `admm.round_to`.")
    ] = None

    def agree(self) -> None:
        if self.weights is not None and (self.filters, self.columns, self.channels) != (None, None, None):
            raise ConfigError("admm.budgets: weights goes with no other limit; leave out filters, columns and channels")


@dataclass(frozen=True, kw_only=True)
class AdmmConfig(Section, section="admm"):
    """ADMM, hard pruning and masked retraining."""

    budgets: Annotated[
        Mapping[str, LayerBudget] | None,
        Doc("Budget per layer name; None takes budgets that reach about `compression` on all weights."),
    ] = None
    compression: Annotated[
        float, Ge(1), Doc("Weights before by weights after, all layers together; read only where `budgets` is None.")
    ] = 40.0
    limits: Annotated[
        Mapping[Limit, AboveZero] | None,
        Doc(
            "Budgets in place of `compression`, in numbers that the network keeps to, all together: all_weights, "
            "conv_only, macs, cycles (exact ones of an image, or of a batch, on the array that the section `array` "
            "describes), onchip_bits, images_per_second (at `clock`), lut4, bram (of `target`)."
        ),
    ] = None
    clock: Annotated[Clock | None, Doc("Clock at which images_per_second is meant.")] = None
    target: Annotated[str | None, Doc("Device of lut4 and bram, such as ecp5-85k.")] = None
    preset: Annotated[
        AdmmPreset,
        Doc(
            "Tuned budgets, read only where `budgets` is None: auto (those made for this very network and "
            "`compression`, which is then said, else none), none, or a name, such as lenet5-40x."
        ),
    ] = "auto"
    structure: Annotated[
        Literal["structured", "unstructured"],
        Doc(
            "structured (whole filters and columns) or unstructured (single weights); read only where `budgets` is "
            "None."
        ),
    ] = "structured"
    round_to: Annotated[
        Repeats,
        Doc(
            "Filters and channels of every budget in multiples of this, so that filters fill whole tiles of the "
            "array: the nearest multiple, one at least, never above the layer. Purification and unused paths may take "
            "more afterwards."
        ),
    ] = 1
    round_columns_to: Annotated[Repeats, Doc("Columns of every budget in multiples of this.")] = 1
    mode: Annotated[
        Literal["sequential", "joint"],
        Doc("sequential (columns and channels, retrain, then filters, retrain) or joint (all constraints at once)."),
    ] = "joint"
    stages: Annotated[
        Repeats,
        Doc("Progressive steps of each part, the budgets shrinking geometrically; at most 4x a step converges well."),
    ] = 2
    epochs: Annotated[Repeats, Doc("Epochs of ADMM in each step.")] = 2
    retrain_epochs: Annotated[MaybeRepeats, Doc("Epochs of masked retraining between steps.")] = 1
    final_epochs: Annotated[MaybeRepeats, Doc("Epochs of masked retraining at the very end.")] = 8
    updates: Annotated[
        Repeats,
        Doc("Updates of Z and U at each rho, spread evenly over the optimiser's steps: fewer make a penalty of ADMM."),
    ] = 8
    rhos: Annotated[Repeats, Doc("Penalties rho of a step, one after the other, from `rho_start` to `rho_end`.")] = 3
    dual_step: Annotated[
        float,
        Interval(gt=0, le=1.6),
        Doc(
            "How much of W - Z the dual variable U takes at an update; as few steps lie between, the whole overshoots."
        ),
    ] = 0.2
    rho_start: Annotated[AboveZero, Doc("First penalty rho; below 1e-2 the residual tends to grow.")] = 0.05
    rho_end: Annotated[AboveZero, Doc("Last penalty rho of a step; in between it grows geometrically.")] = 2.0
    lr: Annotated[AboveZero, Doc("Learning rate of ADMM steps.")] = 2e-3
    retrain_lr: Annotated[AboveZero, Doc("Learning rate of masked retraining.")] = 4e-3
    path_aware: Annotated[
        bool, Doc("Count a filter that no later layer reads as empty when choosing filters (the papers do not).")
    ] = True
    residual_limit: Annotated[
        AboveZero,
        Doc(
            "An ADMM step whose relative primal residual exceeds this many times its first value is stopped as "
            "diverged."
        ),
    ] = 2.0

    def agree(self) -> None:
        if self.rho_end < self.rho_start:
            raise ConfigError(f"admm.rho_end ({self.rho_end:g}) must not be below admm.rho_start ({self.rho_start:g})")
        check_limits("admm", self.limits, self.counts, self.clock, self.target)
        if self.limits is not None:
            if not self.limits:
                raise ConfigError("admm.limits must name a count, such as cycles=8000; or leave it out")
            if self.budgets is not None:
                raise ConfigError("admm.limits and admm.budgets both say how much stays; keep one of them")
            if self.structure == "unstructured":
                raise ConfigError("admm.limits count whole filters and columns; set admm.structure to structured")
            if self.preset not in ("auto", "none"):
                raise ConfigError(f"admm.limits and admm.preset = {self.preset} both say how much stays; keep one")

    @property
    def counts(self) -> tuple[str, ...]:
        """What is counted for `limits`."""
        return counted(self.limits)

    @property
    def metered(self) -> tuple[str, ...]:
        """Those of `counts` that the compiler counts."""
        return tuple(name for name in self.counts if name in HARDWARE_COUNTS)
