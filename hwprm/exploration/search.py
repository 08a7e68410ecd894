"""The joint search over network and array: Optuna proposes batches, all of a batch is evaluated, then it is told.

What is proposed hangs on the seed and on the batches before alone, neither on how many workers there are nor on which
point is finished first. A search that goes on asks again from the start, and tells what the journal holds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from hwprm.config import ExploreConfig, Settings
from hwprm.core.errors import ConfigError, InputError, ToolError
from hwprm.exploration.artefacts import Artefacts
from hwprm.exploration.evaluate import Found, evaluate
from hwprm.exploration.metrics import METRICS, Goal, front_of
from hwprm.exploration.points import Journal, Point, plain
from hwprm.exploration.space import DIGITS, Dimension, Options, Space, typed, with_options
from hwprm.exploration.workers import PIP

if TYPE_CHECKING:
    import optuna

__all__ = ["Search"]

#: Of dimensions with more values than this the order is taken to mean something where they are numbers.
CATEGORIES = 2
#: Points that are drawn at random before anything is learnt.
RANDOM = 10
#: What stands for the accuracy of a point that was not fine-tuned, because a limit forbids it.
NOTHING = 0.0

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search and where it keeps what it found."""

    space: Space
    settings: Settings
    objectives: tuple[str, ...]
    limits: tuple[Goal, ...]
    artefacts: Artefacts
    journal: Journal
    tell: Tell

    @property
    def config(self) -> ExploreConfig:
        """Its options."""
        return self.settings.explore

    def go(self) -> None:
        """Search until ``explore.points`` are tried or the front stands still, then finish the points of the front."""
        front: set[int] = set()
        still = 0
        for numbers in self._batches():
            self.tell("points", numbers[-1] + 1, self.config.points)
            better = set(self.ranked_front()) & set(numbers) - front
            front = set(self.ranked_front())
            still = 0 if better or not front else still + 1
            if still >= self.config.patience:
                break
        self._finish(sorted(front))

    def ranked_front(self) -> list[int]:
        """Numbers of the points that are best by what they were ranked by.

        A limit on accuracy is kept or not when they have all of their fine-tuning.
        """
        ranked = {point.number: point.ranked or point.values for point in self.journal.ordered}
        fit = [
            number
            for number, values in ranked.items()
            if all(name in values for name in self.objectives)
            and not any(goal.excess(values) > 0 for goal in self.limits if goal.metric != "accuracy")
        ]
        return [fit[i] for i in front_of([ranked[number] for number in fit], self.objectives)]

    def _batches(self) -> Iterator[list[int]]:
        """Numbers of each batch, as it is complete."""
        study = _study(self.config, self.objectives)
        for start in range(0, self.config.points, self.config.proposals):
            trials = [study.ask() for _ in range(min(self.config.proposals, self.config.points - start))]
            asked = {start + i: self._options(trial) for i, trial in enumerate(trials)}
            self._check(asked)
            self._evaluate({number: options for number, options in asked.items() if number not in self.journal.points})
            for number, trial in zip(asked, trials, strict=True):
                self._tell_one(study, trial, self.journal.points[number])
            yield list(asked)

    def _options(self, trial: optuna.Trial) -> Options:
        return {dimension.key: _suggested(trial, dimension) for dimension in self.space.dimensions}

    def _check(self, asked: Mapping[int, Options]) -> None:
        """The journal must hold what is asked now."""
        for number, options in asked.items():
            known = self.journal.points.get(number)
            if known is not None and dict(known.options) != plain(options):
                raise InputError(
                    f"{self.journal.file}: point {number} is {dict(known.options)}, but this search proposes "
                    f"{plain(options)}: another version of Optuna, or an edited file; take another folder with --out"
                )

    def _evaluate(self, asked: Mapping[int, Options]) -> None:
        """Evaluate and keep the points `asked`; one that was computed under another number is taken from there."""
        known = {_name(point.options): point for point in self.journal.ordered}
        new: dict[int, Settings] = {}
        for number, options in asked.items():
            same = known.get(_name(plain(options)))
            if same is not None:
                values = same.ranked or same.values
                copy = replace(same, number=number, values=values, ranked=None, final=False, test_accuracy=None)
                self.journal.add(copy)
                continue
            try:
                new[number] = self._short(options)
            except ConfigError as error:
                self.journal.add(Point(number=number, options=plain(options), refused=str(error), final=False))
        found = evaluate(self.artefacts, new, self.limits, self.tell) if new else {}
        if new:
            self.journal.add(*(_point(number, asked[number], found[number], final=False) for number in new))

    def _short(self, options: Mapping[str, Any]) -> Settings:
        """The settings of a point with as little fine-tuning as ranks it."""
        settings = with_options(self.settings, options)
        epochs = min(self.config.rank_epochs, settings.finetune.epochs)
        return replace(settings, finetune=replace(settings.finetune, epochs=epochs))

    def _finish(self, front: Sequence[int]) -> None:
        """Give the points of the `front` all of their fine-tuning."""
        waiting = {number: point for number in front if not (point := self.journal.points[number]).final}
        whole = {}
        for number, point in waiting.items():
            options = typed(point.options)
            whole[number] = with_options(self.settings, options)
        if not whole:
            return
        found = evaluate(self.artefacts, whole, self.limits, self.tell)
        for number, result in sorted(found.items()):
            point = _point(number, typed(waiting[number].options), result, final=True)
            self.journal.add(replace(point, ranked=waiting[number].values))

    def _tell_one(self, study: optuna.Study, trial: optuna.Trial, point: Point) -> None:
        from optuna.trial import TrialState

        values = dict(point.ranked or point.values)
        if not values:
            study.tell(trial, state=TrialState.FAIL)
            return
        for goal in self.limits:
            trial.set_constraint(goal.option, goal.excess(values))
        study.tell(trial, [float(values.get(name, NOTHING)) for name in self.objectives])


def _study(config: ExploreConfig, objectives: Sequence[str]) -> optuna.Study:
    try:
        import optuna
    except ImportError as error:
        raise ToolError(f"a search needs Optuna ({error}); install it: {PIP}") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # `multivariate` is marked experimental: pyproject.toml names the versions that it was tried with.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=config.seed,
            multivariate=True,
            n_startup_trials=max(config.proposals, RANDOM),  # whatever `points` is: more of them go on with a course
        )
    directions: list[Literal["maximize", "minimize"]] = [
        "maximize" if METRICS[name].more else "minimize" for name in objectives
    ]
    return optuna.create_study(directions=directions, sampler=sampler)


def _suggested(trial: optuna.Trial, dimension: Dimension) -> Any:
    if dimension.interval:
        low, high = dimension.interval
        value = trial.suggest_float(dimension.key, low, high, log=low > 0)
        return min(high, max(low, float(f"{value:.{DIGITS}g}")))
    values = dimension.values
    if len(values) > CATEGORIES and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return values[trial.suggest_int(dimension.key, 0, len(values) - 1)]
    return values[trial.suggest_categorical(dimension.key, list(range(len(values))))]


def _point(number: int, options: Mapping[str, Any], found: Found, *, final: bool) -> Point:
    measured = found.measured
    return Point(number=number, options=plain(options), values=measured.values, refused=measured.refused, final=final)


def _name(options: Mapping[str, Any]) -> str:
    return repr(sorted(options.items()))
