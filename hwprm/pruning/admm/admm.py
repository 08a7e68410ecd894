"""ADMM pruning: from a dense model to one whose pruned rows and columns, or single weights, are exact zeros."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hwprm.config.admm import AdmmConfig, LayerBudget
from hwprm.config.train import TrainConfig
from hwprm.core.errors import ModelError
from hwprm.core.progress import Progress
from hwprm.data import Dataset
from hwprm.graph import Graph
from hwprm.model import MASKED, Model, Stage
from hwprm.nets import GraphModule
from hwprm.pruning.admm.budgets import layer_matrices, resolve_budgets, shrink
from hwprm.pruning.admm.hooks import AdmmHooks
from hwprm.pruning.admm.projections import Limits
from hwprm.pruning.admm.supports import choose_supports, hard_prune, kept_indices, matrix
from hwprm.pruning.paths.paths import constant_outputs
from hwprm.pruning.statistics import norm_gains
from hwprm.training.context import Context
from hwprm.training.engine import FitResult, fit
from hwprm.training.evaluate import held_out_accuracy
from hwprm.training.masks import ZeroMasks

__all__ = ["Phase", "admm", "cut", "final_limits", "hooks_of", "phases", "refuse_lost_classes"]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One run of the engine: ADMM towards `limits` and a hard cut onto them, or masked retraining (`limits` None)."""

    name: str
    epochs: int
    limits: Mapping[str, Limits] | None = None

    def lr(self, config: AdmmConfig) -> float:
        """Its learning rate at the start."""
        return config.retrain_lr if self.limits is None else config.lr


def admm(model: Model, dataset: Dataset, config: AdmmConfig, context: Context | None = None) -> Model:
    """Prune `model` (dense, or pruned before: its zeros stay) to the budgets of `config`.

    Batch, seed, threads, augmentation and optimiser are those of `context`, and how much a teacher counts. The result
    satisfies every budget exactly; its meta holds the test accuracy (per cent), the kept rows and columns (``plan``),
    seconds, and in ``log`` the residuals of every layer at every update. Raises ConfigError for budgets that do not
    fit, ModelError when ADMM or training diverges or a purified or compact model is given.
    """
    if model.stage not in (Stage.DENSE, *MASKED):
        raise ModelError(f"ADMM works on a dense or masked model, this one is {model.stage}; start from those")
    context = context or Context()
    base = context.config
    module = GraphModule(model.graph)
    plan = phases(model.graph, config)
    bar = _OneBar(plan, context.progress)
    seconds, log = 0.0, []
    for number, phase in enumerate(plan, 1):
        within = replace(context, config=_options(base, config, phase), progress=bar.within(phase))
        result = _run(module, phase, f"admm-{number:02}", dataset, config, within)
        seconds += result.seconds
        log += [{"stage": "admm", "phase": phase.name, "epoch": i + 1, **e} for i, e in enumerate(result.history)]
    graph = module.to_graph()
    refuse_lost_classes(graph, model.graph)
    return model.advance(
        graph,
        Stage.ADMM,
        data=dataset.name,
        input_scale=dataset.input_scale,
        seed=base.seed,
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


def phases(graph: Graph, config: AdmmConfig) -> tuple[Phase, ...]:
    """The runs that `config` asks for, in order (progressive: Ye et al., arXiv 1903.09769).

    Sequential: columns and channels (and unstructured layers) in `stages` steps, retraining, then filters likewise
    (the order of the P-RM authors' code). Joint: all limits in `stages` steps. Raises ConfigError when a budget does
    not fit.
    """
    budgets = resolve_budgets(graph, config)
    parts: tuple[tuple[str, bool, bool], ...] = (("columns", False, True), ("filters", True, False))
    if config.mode == "joint":
        parts = (("joint", True, True),)
    plan: list[Phase] = []
    for part, rows, cols in parts:
        for step in range(1, config.stages + 1):
            limits = _limits(graph, budgets, step / config.stages, rows, cols)
            if limits:
                name = f"{part} {step}/{config.stages}"
                plan.append(Phase(name=name, epochs=config.epochs, limits=limits))
                plan.append(Phase(name=f"retrain after {name}", epochs=config.retrain_epochs))
    if plan:
        plan[-1] = replace(plan[-1], name="final retrain", epochs=config.final_epochs)
    return tuple(phase for phase in plan if phase.epochs)


def final_limits(graph: Graph, config: AdmmConfig) -> dict[str, Limits]:
    """What every layer keeps at most in the end. Raises ConfigError as `phases` does."""
    return _limits(graph, resolve_budgets(graph, config), 1.0, rows=True, cols=True)


def _limits(
    graph: Graph, budgets: Mapping[str, LayerBudget], share: float, rows: bool, cols: bool
) -> dict[str, Limits]:
    matrices = layer_matrices(graph)
    found = {name: shrink(matrices[name], budget, share, rows=rows, cols=cols) for name, budget in budgets.items()}
    return {name: limit for name, limit in found.items() if not limit.none}


def _options(base: TrainConfig, config: AdmmConfig, phase: Phase) -> TrainConfig:
    return replace(base, epochs=phase.epochs, lr=phase.lr(config), average=0.0)


def _run(
    module: GraphModule, phase: Phase, stage: str, dataset: Dataset, config: AdmmConfig, context: Context
) -> FitResult:
    result = fit(module, dataset, context, stage=stage, hooks=hooks_of(module, phase, config))
    if phase.limits is not None:
        cut(module, phase.limits, config)
    return result


def hooks_of(module: GraphModule, phase: Phase, config: AdmmConfig) -> AdmmHooks | ZeroMasks:
    """What `phase` adds to training, begun with the weights of now."""
    return ZeroMasks.of(module) if phase.limits is None else AdmmHooks(module, phase.limits, config, phase.epochs)


def cut(module: GraphModule, limits: Mapping[str, Limits], config: AdmmConfig) -> None:
    """Zero in `module` what is beyond `limits`, the least first."""
    weights = {node.name: matrix(module, node.name) for node in module.graph.weighted}
    gains = norm_gains(module.to_graph())
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
