"""Budgets that keep to numbers: cycles of an array, multiplications, weights.

The compiler counts whole networks, so candidates are cut and counted as they are: the same share of the filters and of
the columns of every layer, as much as the limits allow; then more columns, by one factor, with what is left. All that
once with whole tiles of filters, as the array takes them, and once without: what keeps more multiplications under the
same limits is taken.

When ADMM has chosen, other weights than at the start may be the greatest, and paths may close otherwise: the last cut
counts again and takes more where a limit would be missed, so that what comes out keeps to all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from numpy.typing import NDArray

from hwprm.config.admm import AdmmConfig, LayerBudget
from hwprm.core.errors import ConfigError, ModelError
from hwprm.graph import Graph
from hwprm.pruning.admm.budgets import LayerMatrix, final_limits, layer_matrices
from hwprm.pruning.admm.projections import Limits
from hwprm.pruning.admm.supports import choose_supports
from hwprm.pruning.channels.limits import in_counts
from hwprm.pruning.channels.pattern import Counts, Meters, Pattern
from hwprm.pruning.statistics import norm_gains

__all__ = ["Goal", "budgeted"]

#: Shares are multiples of its inverse.
STEPS = 1024
Budgets = Mapping[str, LayerBudget]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Goal:
    """How much of each of `counts` may be left, and what counts those of hardware."""

    counts: tuple[str, ...]
    most: Counts
    meters: Meters
    #: As `AdmmConfig.path_aware`.
    path_aware: bool

    def left(self, graph: Graph, limits: Mapping[str, Limits], pattern: Pattern | None = None) -> Counts:
        """The counts of `graph` cut to `limits`, unused paths closed; `pattern` is what its layers have now."""
        pattern = pattern or self.pattern(graph)
        weights = {node.name: _matrix(node.weight) for node in graph.weighted}
        chosen = choose_supports(graph, weights, limits, self.path_aware, norm_gains(graph))
        rows, cols = ({name: mask.copy() for name, mask in masks.items()} for masks in (pattern.rows, pattern.cols))
        for name, support in chosen.items():
            rows[name] &= support.rows
            cols[name] &= support.cols
        cut = replace(pattern, rows=rows, cols=cols)
        cut.close()
        return cut.counts

    def pattern(self, graph: Graph) -> Pattern:
        """What is not zero in `graph`."""
        return Pattern.of(graph, *self.counts, meters=self.meters)

    def met(self, left: Counts) -> bool:
        """Whether no count is above its limit."""
        return all(count <= most for count, most in zip(left, self.most, strict=True))

    def said(self, left: Counts) -> str:
        """`left` in words."""
        return ", ".join(f"{count} {name}" for count, name in zip(left, self.counts, strict=True))

    def tightened(self, graph: Graph, limits: Mapping[str, Limits]) -> dict[str, Limits]:
        """`limits`, or where `graph` cut to them is above the goal less of every layer. Raises ModelError when none is.

        Rows that the limits leave alone stay, as those of the last layer.
        """
        pattern = self.pattern(graph)
        matrices = layer_matrices(graph)

        def scaled(share: float) -> dict[str, Limits]:
            return {name: _scaled(limit, matrices[name], share) for name, limit in limits.items()}

        found = _largest(scaled, lambda cut: self.met(self.left(graph, cut, pattern)))
        if found is None:
            least = self.left(graph, scaled(1 / STEPS), pattern)
            raise ModelError(
                f"ADMM ends at {self.said(least)} at least, the limits are {self.said(self.most)}; raise admm.limits"
            )
        return found


def budgeted(graph: Graph, config: AdmmConfig, meters: Meters | None = None) -> tuple[AdmmConfig, Goal | None]:
    """`config` with budgets in place of limits, and those as a goal; as it is, and None, where it has no limits.

    Raises ConfigError when the limits cannot be met, when the network meets them as it is, and without a meter of a
    count that is hardware's.
    """
    if config.limits is None:
        return config, None
    pattern = Pattern.of(graph, *config.counts, meters=meters)
    full = pattern.counts
    asked = in_counts(config.limits, config.clock, meters or {})
    most = tuple(asked[name] for name in config.counts)
    goal = Goal(counts=config.counts, most=most, meters=meters or {}, path_aware=config.path_aware)
    if goal.met(full):
        raise ConfigError(
            f"admm.limits: the network has {goal.said(full)} as it is, and the limits are {goal.said(most)}: there is "
            "nothing to prune; lower them"
        )
    return replace(config, budgets=_Search(graph, config, goal, pattern).budgets(), limits=None), goal


class _Search:
    """Budgets of one network for one goal."""

    def __init__(self, graph: Graph, config: AdmmConfig, goal: Goal, pattern: Pattern) -> None:
        self.graph, self.goal, self.pattern = graph, goal, pattern
        self.config = replace(config, limits=None)
        self.matrices = layer_matrices(graph)
        #: Filters of a tile of the array, where there is one.
        self.grain = max((meter.grain for meter in goal.meters.values()), default=1)
        self.work = replace(goal, counts=("macs",), most=(0,), meters={})

    def budgets(self) -> Budgets:
        """See `budgeted`."""
        found = [made for step in sorted({1, self.grain}) if (made := self._budgets(step)) is not None]
        if not found:
            raise ConfigError(
                f"admm.limits ask for {self.goal.said(self.goal.most)}; one filter and one column of every layer are "
                f"{self.goal.said(self._left(self._even(1 / STEPS, 1)))}; raise them, or take a smaller network"
            )
        return max(found, key=self._macs)

    def _budgets(self, step: int) -> Budgets | None:
        """Budgets with filters in multiples of `step`; None where there are none within the limits."""
        even = _largest(lambda share: self._even(share, step), self._met)
        if even is None:
            return None
        wide = _largest(lambda share: self._wider(even, share), self._met)
        return even if wide is None else wide

    def _even(self, share: float, step: int) -> dict[str, LayerBudget]:
        return {
            name: LayerBudget(
                filters=None if matrix.last else min(matrix.rows, max(1, round(matrix.rows * share / step)) * step),
                columns=max(1, round(matrix.cols * share)),
            )
            for name, matrix in self.matrices.items()
        }

    def _wider(self, budgets: Budgets, share: float) -> dict[str, LayerBudget]:
        """`budgets` with `share` of all columns of every layer, those that it has at least."""
        return {
            name: replace(budget, columns=max(budget.columns or 1, round(self.matrices[name].cols * share)))
            for name, budget in budgets.items()
        }

    def _left(self, budgets: Budgets) -> Counts:
        return self.goal.left(self.graph, final_limits(self.graph, replace(self.config, budgets=budgets)), self.pattern)

    def _macs(self, budgets: Budgets) -> int:
        return self.work.left(self.graph, final_limits(self.graph, replace(self.config, budgets=budgets)))[0]

    def _met(self, budgets: Budgets) -> bool:
        return self.goal.met(self._left(budgets))


def _largest(made: Callable[[float], T], good: Callable[[T], bool]) -> T | None:
    """What is `made` of the largest share of 1 that is `good`, by bisection; None when not even the least is."""
    if good(whole := made(1.0)):
        return whole
    best: T | None = None
    low, high = 0, STEPS
    while high - low > 1:
        middle = (low + high) // 2
        tried = made(middle / STEPS)
        if good(tried):
            low, best = middle, tried
        else:
            high = middle
    return best


def _scaled(limit: Limits, matrix: LayerMatrix, share: float) -> Limits:
    """`limit` with `share` of what it leaves, one at least."""

    def less(count: int | None) -> int | None:
        return None if count is None else max(1, round(count * share))

    cols = matrix.cols if limit.cols is None else limit.cols
    rows = limit.rows if matrix.last or limit.rows is None else less(limit.rows)
    return replace(limit, rows=rows, cols=less(cols), groups=less(limit.groups))


def _matrix(weight: NDArray[Any]) -> NDArray[Any]:
    return weight.reshape(len(weight), -1)
