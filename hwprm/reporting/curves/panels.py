"""The epochs of a model, as what its curves show: spans of epochs, and panels of series over them.

Both pictures of the curves, `hwprm.reporting.curves.plot` and `hwprm.reporting.page.training`, draw this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwprm.reporting.facts.facts import in_order

if TYPE_CHECKING:
    from hwprm.model import Model

__all__ = ["KINDS", "LAYERS", "Curves", "Panel", "Series", "Span", "curves_of"]

#: What a span of epochs can be, in the order of legends.
KINDS = ("training", "pruning", "retraining")
#: Layers that get a colour each; of more, those whose primal residual ended highest, the others are drawn faint.
LAYERS = 7
#: Epochs up to which each has a dot.
DOTTED = 60

Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Span:
    """Epochs `first` to `last` (counted through from 1) of one run of the engine."""

    name: str
    kind: str
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line: ``(epoch, value)``, epochs ascending, updates half an epoch around it. A `faint` one has no entry in
    the legend.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    faint: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Series over one axis. Residuals have a series per layer, in the same order in each of their panels.

    `marks` are ``(stage, place, value)``: what was measured once, on the test split when a stage ended. A stage without
    epochs of its own (P-RM, compaction) has a place behind the last epoch.
    """

    title: str
    group: str
    log: bool
    series: tuple[Series, ...]
    marks: tuple[tuple[str, int, float], ...] = ()

    @property
    def measured(self) -> str:
        """The marks in words."""
        words = ", ".join(f"{stage} {value:.2f}" for stage, _, value in self.marks)
        return f"test split: {words}" if words else ""

    @property
    def values(self) -> tuple[float, ...]:
        """Everything that is drawn."""
        return (*(value for line in self.series for _, value in line.points), *(value for _, _, value in self.marks))


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Panels over the same axis of `epochs`, each epoch in one of `spans`."""

    epochs: int
    spans: tuple[Span, ...]
    panels: tuple[Panel, ...]

    def pieces(self, points: Sequence[tuple[float, float]]) -> tuple[tuple[tuple[float, float], ...], ...]:
        """`points` of each span: a line does not run from one to the next, where the loss is another."""
        inside = (
            tuple(
                point
                for point in points
                if abs(point[0] - (span.first + span.last) / 2) <= (span.last - span.first + 1) / 2
            )
            for span in self.spans
        )
        return tuple(piece for piece in inside if piece)

    @property
    def dotted(self) -> bool:
        """Whether each epoch has a dot of its own."""
        return self.epochs <= DOTTED

    @property
    def places(self) -> int:
        """Epochs, and the places behind them."""
        return max([self.epochs, *(place for panel in self.panels for _, place, _ in panel.marks)])


def curves_of(model: Model) -> Curves | None:
    """The curves of `model`, from ``meta["log"]``; None when no epoch was logged.

    Keys of an entry: ``stage``, ``phase``, ``epoch``, ``loss``; ``lr``, ``accuracy`` and others that end in
    ``accuracy`` or ``loss``; ``rho``, ``primal.<layer>`` and ``dual.<layer>``, and these of every update of the epoch
    as ``updates``. Whatever is missing is not drawn; values that a logarithmic axis cannot hold are left out.
    """
    log: Sequence[Entry] = model.meta.get("log", [])
    if not log:
        return None
    spans = tuple(_spans(log))
    marks = tuple(_stages(model.meta.get("accuracy", {}), spans, len(log)))
    panels = _panels(log, marks, [layer.name for layer in model.graph.weighted])
    return Curves(epochs=len(log), spans=spans, panels=tuple(panel for panel in panels if panel.values))


def _spans(log: Sequence[Entry]) -> Iterator[Span]:
    start = 0
    for i in range(1, len(log) + 1):
        if i == len(log) or _run(log[i]) != _run(log[start]) or log[i]["epoch"] <= log[i - 1]["epoch"]:
            phase = log[start].get("phase", "")
            pruned = any(entry["stage"] != "train" for entry in log[:start])
            if log[start]["stage"] == "shrink":
                name, kind = "shrinking", "pruning"
            elif log[start]["stage"] == "admm":
                name, kind = (phase, "retraining") if "retrain" in phase else (f"ADMM {phase}", "pruning")
            else:
                name, kind = ("fine-tuning", "retraining") if pruned else ("training", "training")
            yield Span(name=name, kind=kind, first=start + 1, last=i)
            start = i


def _run(entry: Entry) -> tuple[Any, ...]:
    return entry["stage"], entry.get("phase")


def _panels(log: Sequence[Entry], marks: tuple[tuple[str, int, float], ...], layers: Sequence[str]) -> Iterator[Panel]:
    keys = sorted({key for entry in log for key in entry})
    plain = [key for key in keys if "." not in key]

    def lines(chosen: Iterable[str], log_axis: bool = False) -> tuple[Series, ...]:
        made = (Series(name=key.replace("_", " "), points=_points(log, key, log_axis)) for key in chosen)
        return tuple(series for series in made if series.points)

    yield Panel(title="Loss", group="training", log=False, series=lines(k for k in plain if k.endswith("loss")))
    percent = lines(key for key in plain if key.endswith("accuracy"))
    told = "lines: training images, and held out" if len(percent) > 1 else "line: of the training images"
    title = "Accuracy, per cent" + (f" ({told})" if percent else "")
    yield Panel(title=title, group="training", log=False, series=percent, marks=marks)
    rates = lines((key for key in plain if key in ("lr", "learning_rate")), True)
    yield Panel(title="Learning rate", group="training", log=True, series=rates)
    names = [key.removeprefix("primal.") for key in keys if key.startswith("primal.")]
    # In the network's order; a layer that pruning took whole comes last.
    names.sort(key=lambda name: layers.index(name) if name in layers else len(layers))
    for kind, title in (("primal", "Primal residual, ‖W − Z‖ / ‖W‖"), ("dual", "Dual residual, ρ ‖ΔZ‖")):
        yield Panel(title=title, group="residuals", log=True, series=tuple(_layers(log, names, kind)))
    rho = Series(name="rho", points=tuple(_updates(log, "rho")))
    yield Panel(title="Penalty ρ", group="residuals", log=True, series=(rho,) if rho.points else ())


def _layers(log: Sequence[Entry], names: Sequence[str], kind: str) -> Iterator[Series]:
    ends = {name: [float(entry[f"primal.{name}"]) for entry in log if f"primal.{name}" in entry][-1] for name in names}
    shown = set(sorted(names, key=lambda name: -ends[name])[:LAYERS])
    for name in sorted(
        names, key=lambda name: name not in shown
    ):  # those with a colour first, else the network's order
        points = tuple((place, value) for place, value in _updates(log, f"{kind}.{name}") if value > 0)
        yield Series(name=name, points=points, faint=name not in shown)


def _updates(log: Sequence[Entry], key: str) -> Iterator[tuple[float, float]]:
    """What every update of ADMM's variables has under `key`: those of an epoch lie evenly in its place."""
    for i, entry in enumerate(log, 1):
        updates = entry.get("updates") or [entry]
        for k, update in enumerate(updates):
            if key in update:
                yield i - 0.5 + (k + 0.5) / len(updates), float(update[key])


def _points(log: Sequence[Entry], key: str, log_axis: bool) -> tuple[tuple[float, float], ...]:
    found = ((i, float(entry[key])) for i, entry in enumerate(log, 1) if key in entry)
    return tuple((i, value) for i, value in found if value > 0 or not log_axis)


def _stages(accuracy: Mapping[str, float], spans: Sequence[Span], epochs: int) -> Iterator[tuple[str, int, float]]:
    def end(*names: str) -> int | None:
        return max((span.last for span in spans if span.name.startswith(names)), default=None)

    ends = {"dense": end("training"), "shrunk": end("shrinking"), "admm": end("ADMM", "retrain", "final")}
    ends["finetuned"] = end("fine-tuning")
    if "finetuned" in accuracy:  # what came before it has no epochs
        pruned = end("ADMM", "retrain", "final", "shrinking")
        ends |= {"purified": pruned, "compact": pruned}
    behind = epochs
    for stage, percent in in_order(accuracy).items():
        place = ends.get(stage)
        if stage not in ends:
            behind += 1
            place = behind
        if place is not None:
            yield stage, place, percent
