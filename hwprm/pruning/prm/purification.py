"""P-RM: network purification and unused-path removal (Ma et al., section 3, Algorithm 1), without retraining.

Statistics once, one pass of thresholds (approximate), then unused paths to the fixed point (exact). The paper prunes
filter (i-1, j) with channel (i, j), and channel (i+1, m) with filter (i, m); both are what path removal does, with
the constants of blank filters folded instead of dropped, and only where every reader agrees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwprm.config.purify import PurifyConfig
from hwprm.core.errors import ConfigError, ModelError
from hwprm.graph import Graph
from hwprm.model import MASKED, Model, Stage
from hwprm.pruning.accounting import account, against
from hwprm.pruning.paths.paths import constant_outputs, emptied_layers, remove_unused_paths
from hwprm.pruning.paths.removals import Removal, Removals
from hwprm.pruning.prm.thresholds import EmptiedError, Thresholds, apply_thresholds, relative_thresholds
from hwprm.pruning.statistics import LayerStatistics, layer_statistics

if TYPE_CHECKING:
    from hwprm.core.progress import Progress

__all__ = ["greatest_drop", "purify"]

#: Which images, none of them of the test split, a graph puts in their class ``(n,)``.
Evaluate = Callable[[Graph], NDArray[np.bool_]]
#: Rules whose thresholds are searched, in the order of the algorithm.
SEARCHED = ("columns", "channels", "filters")


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What one set of thresholds makes of the network."""

    thresholds: Mapping[str, Thresholds]
    purified: Graph  #: after the thresholds
    closed: Graph  #: after unused paths
    removed: tuple[Removal, ...]
    paths: Removals


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """The network to purify, its norms as they were loaded, and how."""

    graph: Graph
    statistics: Sequence[LayerStatistics]
    config: PurifyConfig

    def at(self, share: Sequence[float]) -> _Outcome:
        """What thresholds make of it that take each of `SEARCHED` the given share. Raises EmptiedError."""
        config = self.config
        limits = {layer.name: relative_thresholds(layer, config.scale, share, config.th2) for layer in self.statistics}
        return self.try_limits(limits)

    def try_limits(self, limits: Mapping[str, Thresholds]) -> _Outcome:
        """Purification with `limits`, then path removal. Raises EmptiedError naming layer and threshold."""
        literal = self.config.reading == "literal"
        purified, removed = apply_thresholds(self.graph, self.statistics, limits, literal=literal)
        if empty := emptied_layers(purified):
            used = ", ".join(f"{key} = {value:.6g}" for key, value in limits[empty[0]].to_json().items())
            raise EmptiedError(
                f"layer {empty[0]!r} would be emptied: after its thresholds ({used}) and its neighbours' no path "
                "from input to output is left through it; lower the thresholds"
            )
        if lost := constant_outputs(purified) and constant_outputs(purified) - constant_outputs(self.graph):
            output, channel = min(lost)
            raise EmptiedError(
                f"class {channel} of {output!r} would be lost: no weight that depends on the input is left for it, so "
                "its score would always be the same; lower the thresholds"
            )
        closed, paths = remove_unused_paths(purified, inexact=self.config.inexact)
        return _Outcome(thresholds=limits, purified=purified, closed=closed, removed=removed, paths=paths)


def purify(
    model: Model, config: PurifyConfig, evaluate: Evaluate | None = None, progress: Progress | None = None
) -> Model:
    """`model` after P-RM, at `Stage.PURIFIED`: the original shapes, exact zeros.

    `evaluate` says which validation images a graph puts in their class; automatic thresholds need it.
    Adds to ``meta``: ``waterfall`` rows (``purification``, ``path_removal``, and ``dense`` and the stage of `model`
    where they are missing), ``removals``, ``refusals`` (blank filters that had to stay, as text) and ``purify``
    (thresholds per layer; in automatic mode also validation accuracy, and the drop that it has with `confidence`).
    Raises ModelError for a model that was purified before, or when a layer would be emptied; ConfigError when
    automatic mode has no `evaluate`; UnsupportedError with ``inexact = "refuse"`` (see `remove_unused_paths`).
    """
    if model.stage not in (Stage.DENSE, *MASKED):
        raise ModelError(
            f"the model is {model.stage} already; its norms are not those of the pruned network any more, and a second "
            "purification would remove ever more: purify the ADMM model with other thresholds instead"
        )
    if empty := emptied_layers(model.graph):
        raise ModelError(f"layer {empty[0]!r} has no weight left even before purification; prune it less")
    problem = _Problem(graph=model.graph, statistics=layer_statistics(model.graph), config=config)
    if config.mode == "absolute":
        limits = Thresholds(th1=config.th1, th2=config.th2, th3=config.th3, th4=config.th4)
        outcome = problem.try_limits({layer.name: limits for layer in problem.statistics})
        found: dict[str, Any] = {}
    else:
        if evaluate is None:
            raise ConfigError(
                "purify.mode 'auto' needs validation images to measure accuracy with; hold some out of the training "
                "images, or set purify.mode to 'absolute' and give th1..th4"
            )
        outcome, found = _search(problem, evaluate, progress)
    return model.advance(outcome.closed, Stage.PURIFIED, **_meta(model, config, outcome, found))


def _search(problem: _Problem, evaluate: Evaluate, progress: Progress | None) -> tuple[_Outcome, dict[str, Any]]:
    """Bisect the share of columns, then of channels, then of filters; each rule may use a third of the allowed drop.

    What an earlier rule leaves of its third (or gains) a later one may use. Accuracy need not fall evenly with the
    share, so this finds a boundary, not always the last.
    """
    config = problem.config
    start = evaluate(problem.graph)
    total, done = len(SEARCHED) * config.steps, 0
    share = [0.0] * len(SEARCHED)
    best, right = problem.at(share), start
    for rule in range(len(SEARCHED)):
        allowed = config.drop * (rule + 1) / len(SEARCHED)
        low, high = 0.0, 1.0
        for _ in range(config.steps):
            middle = (low + high) / 2
            trial = [*share[:rule], middle, *share[rule + 1 :]]
            outcome, found = _measure(problem, trial, evaluate, best, right)
            if outcome is not None and greatest_drop(start, found, config.confidence) <= allowed:
                best, right, low = outcome, found, middle
            else:
                high = middle
            done += 1
            if progress is not None:
                progress("purify", done, total, {"accuracy": _percent(right), "removed": float(_weights(best))})
        share[rule] = low
    drop = greatest_drop(start, right, config.confidence)
    validation = {"before": _percent(start), "after": _percent(right), "drop": drop, "allowed": config.drop}
    return best, {"validation": validation, "share": dict(zip(SEARCHED, share, strict=True))}


def greatest_drop(before: NDArray[np.bool_], after: NDArray[np.bool_], confidence: float) -> float:
    """Points of accuracy that are lost at most, as sure as `confidence`: the upper end of the one-sided interval of the
    paired difference (Newcombe 1998, method 1) of images right `before` ``(n,)`` and `after`. Negative where it gained.
    """
    lost, won, n = int((before & ~after).sum()), int((after & ~before).sum()), len(before)
    difference = (lost - won) / n
    error = math.sqrt(max(0.0, (lost + won) / n - difference**2) / n)
    return 100.0 * (difference + NormalDist().inv_cdf(confidence) * error)


def _percent(right: NDArray[np.bool_]) -> float:
    return 100.0 * int(right.sum()) / len(right)


def _measure(
    problem: _Problem, share: Sequence[float], evaluate: Evaluate, best: _Outcome, right: NDArray[np.bool_]
) -> tuple[_Outcome | None, NDArray[np.bool_]]:
    """The outcome at `share` and what it puts right; None when a layer would be emptied. Equal removals cost no run."""
    try:
        outcome = problem.at(share)
    except EmptiedError:
        return None, right
    return outcome, right if outcome.removed == best.removed else evaluate(outcome.closed)


def _weights(outcome: _Outcome) -> int:
    return sum(record.weights for record in (*outcome.removed, *outcome.paths.removed))


def _meta(model: Model, config: PurifyConfig, outcome: _Outcome, found: Mapping[str, Any]) -> dict[str, Any]:
    original = model.graph  # masked graphs keep the original shapes, and the base counts shapes
    rows = []
    so_far = model.meta.get("waterfall", [])
    known = {row["stage"] for row in so_far}
    if Stage.DENSE not in known:
        rows.append(account(original, original).dense().row("dense"))
    if model.stage in MASKED and model.stage not in known:
        rows.append(account(original, original).row(model.stage))
    rows.append(account(outcome.purified, original).row("purification"))
    rows.append(account(outcome.closed, original).row("path_removal"))
    limits = {name: thresholds.to_json() for name, thresholds in outcome.thresholds.items()}
    return {
        "waterfall": [against(row, so_far) for row in rows],
        "removals": [record.to_json() for record in (*outcome.removed, *outcome.paths.removed)],
        "refusals": [str(refusal) for refusal in outcome.paths.refused],
        "purify": {"mode": config.mode, "thresholds": limits, **found},
    }
