"""ADMM pruning: from a dense model to one whose pruned rows and columns, or single weights, are exact zeros."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hwprm.config.admm import AdmmConfig
from hwprm.config.train import TrainConfig
from hwprm.core.errors import ModelError
from hwprm.core.progress import Progress
from hwprm.data import Dataset
from hwprm.graph import Graph
from hwprm.model import MASKED, Model, Stage
from hwprm.nets import GraphModule
from hwprm.pruning.admm.budgets import limits_towards, resolve_budgets
from hwprm.pruning.admm.hooks import AdmmHooks
from hwprm.pruning.admm.limited import Goal, budgeted
from hwprm.pruning.admm.projections import Limits
from hwprm.pruning.admm.supports import choose_supports, hard_prune, kept_indices, matrix
from hwprm.pruning.channels.pattern import Meters
from hwprm.pruning.paths.paths import constant_outputs
from hwprm.pruning.statistics import norm_gains
from hwprm.training.augment import Augmentation
from hwprm.training.context import Context
from hwprm.training.engine import FitResult, fit
from hwprm.training.evaluate import held_out_accuracy
from hwprm.training.masks import ZeroMasks

__all__ = ["Phase", "admm", "cut", "hooks_of", "phases", "refuse_lost_classes"]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One run of the engine: ADMM towards `limits` and a hard cut onto them, or masked retraining (`limits` None)."""

    name: str
    epochs: int
    limits: Mapping[str, Limits] | None = None
    #: What the last cut keeps to besides.
    goal: Goal | None = None

    def lr(self, config: AdmmConfig) -> float:
        """Its learning rate at the start."""
        return config.retrain_lr if self.limits is None else config.lr


def admm(
    model: Model,
    dataset: Dataset,
    config: AdmmConfig,
    context: Context | None = None,
    *,
    meters: Meters | None = None,
) -> Model:
    """Prune `model` (dense, or pruned before: its zeros stay) to the budgets of `config`, or to its limits.

    Batch, seed, threads, augmentation and optimiser are those of `context`, and how much a teacher counts. `meters`
    count what is hardware's, by the count's name. The result satisfies every budget exactly, and every limit; its meta
    holds the test accuracy (per cent), the kept rows and columns (``plan``), seconds, and in ``log`` the residuals of
    every layer at every update and, with limits, at the end what is ``left`` of each count. Raises ConfigError for
    budgets and limits that do not fit, ModelError when ADMM or training diverges or a purified or compact model is
    given.
    """
    if model.stage not in (Stage.DENSE, *MASKED):
        raise ModelError(f"ADMM works on a dense or masked model, this one is {model.stage}; start from those")
    context = context or Context()
    base = context.config
    module = GraphModule(model.graph)
    config, goal = budgeted(model.graph, config, meters)
    plan = phases(model.graph, config, goal)
    bar = _OneBar(plan, context.progress)
    seconds, log = 0.0, []
    for number, phase in enumerate(plan, 1):
        within = replace(context, config=_options(base, config, phase), progress=bar.within(phase))
        result = _run(module, phase, f"admm-{number:02}", dataset, config, within)
        seconds += result.seconds
        log += [{"stage": "admm", "phase": phase.name, "epoch": i + 1, **e} for i, e in enumerate(result.history)]
    graph = module.to_graph()
    refuse_lost_classes(graph, model.graph)
    if goal is not None and log:
        log[-1] |= {f"left_{name}": left for name, left in zip(goal.counts, goal.pattern(graph).counts, strict=True)}
    return model.advance(
        graph,
        Stage.ADMM,
        data=dataset.name,
        input_scale=dataset.input_scale,
        seed=base.seed,
        augmentation=Augmentation.of(base, dataset.name).to_json(),
        accuracy={"admm": held_out_accuracy(graph, dataset, base)},
        seconds={"admm": seconds},
        plan=kept_indices(module),
        log=log,
    )


def refuse_lost_classes(graph: Graph, before: Graph) -> None:
    """Raise ModelError when an output of `graph` is constant that was not so `before`."""
    if lost := constant_outputs(graph) - constant_outputs(before):
        output, channel = min(lost)
        raise ModelError(
            f"class {channel} of {output!r} was lost: ADMM left no weight for it that depends on the input, so its "
            "score is always the same; raise the budget of the last layer in admm.budgets"
        )


def phases(graph: Graph, config: AdmmConfig, goal: Goal | None = None) -> tuple[Phase, ...]:
    """The runs that `config` asks for, in order (progressive: Ye et al., arXiv 1903.09769).

    Sequential: columns and channels (and unstructured layers) in `stages` steps, retraining, then filters likewise
    (the order of the P-RM authors' code). Joint: all limits in `stages` steps. The last cut keeps to `goal` as well.
    Raises ConfigError when a budget does not fit.
    """
    budgets = resolve_budgets(graph, config)
    parts: tuple[tuple[str, bool, bool], ...] = (("columns", False, True), ("filters", True, False))
    if config.mode == "joint":
        parts = (("joint", True, True),)
    plan: list[Phase] = []
    for part, rows, cols in parts:
        for step in range(1, config.stages + 1):
            limits = limits_towards(graph, budgets, step / config.stages, rows, cols)
            if limits:
                name = f"{part} {step}/{config.stages}"
                plan.append(Phase(name=name, epochs=config.epochs, limits=limits))
                plan.append(Phase(name=f"retrain after {name}", epochs=config.retrain_epochs))
    if plan:
        plan[-2] = replace(plan[-2], goal=goal)
        plan[-1] = replace(plan[-1], name="final retrain", epochs=config.final_epochs)
    return tuple(phase for phase in plan if phase.epochs)


def _options(base: TrainConfig, config: AdmmConfig, phase: Phase) -> TrainConfig:
    return replace(base, epochs=phase.epochs, lr=phase.lr(config), average=0.0)


def _run(
    module: GraphModule, phase: Phase, stage: str, dataset: Dataset, config: AdmmConfig, context: Context
) -> FitResult:
    result = fit(module, dataset, context, stage=stage, hooks=hooks_of(module, phase, config))
    if phase.limits is not None:
        cut(module, phase.limits, config, phase.goal)
    return result


def hooks_of(module: GraphModule, phase: Phase, config: AdmmConfig) -> AdmmHooks | ZeroMasks:
    """What `phase` adds to training, begun with the weights of now."""
    return ZeroMasks.of(module) if phase.limits is None else AdmmHooks(module, phase.limits, config, phase.epochs)


def cut(module: GraphModule, limits: Mapping[str, Limits], config: AdmmConfig, goal: Goal | None = None) -> None:
    """Zero in `module` what is beyond `limits`, the least first, and more where `goal` is not met by that."""
    weights = {node.name: matrix(module, node.name) for node in module.graph.weighted}
    graph = module.to_graph()
    gains = norm_gains(graph)
    if goal is not None:
        limits = goal.tightened(graph, limits)
    hard_prune(module, choose_supports(module.graph, weights, limits, config.path_aware, gains))


class _OneBar:
    """All phases as one progress bar, in steps of the engine."""

    def __init__(self, plan: tuple[Phase, ...], progress: Progress) -> None:
        self.progress = progress
        self.total = sum(phase.epochs for phase in plan)
        self.before = 0

    def within(self, phase: Phase) -> Progress:
        """The progress function of `phase`, which comes after all those asked for before."""
        before = self.before
        self.before += phase.epochs

        def tell(stage: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
            steps = total // phase.epochs
            shown = {key: value for key, value in metrics.items() if "." not in key}
            self.progress("admm", before * steps + done, self.total * steps, shown)

        return tell
