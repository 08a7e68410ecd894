"""Plans of stages as read: TOML files of `benchmarks/staged.py`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwprm.config import Settings, load_settings
from hwprm.config.options import nearest
from hwprm.core.errors import ConfigError

__all__ = ["READS", "Plan", "Step", "needed", "read_plan", "way_to"]

DEEDS = ("train", "ensemble", "widths", "shrink", "compact", "finetune", "quantize", "score")
#: What a stage does -> sections of options that it reads, beside the data's.
READS = {
    "train": ("train",),
    "widths": ("widths",),
    "shrink": ("train", "shrink"),
    "compact": ("purify",),
    "finetune": ("train", "finetune"),
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One ``[[stage]]`` of a plan."""

    #: Folder below --out.
    name: str
    #: One of `DEEDS`.
    do: str
    settings: Settings
    #: Stage that it goes on from, by default the one before of the plan's network; None is that with random weights.
    start: str | None = None
    #: Stage whose outputs join the loss.
    teacher: str | None = None
    #: A network of its own, such as a teacher's, that it trains from random weights; the plan's without it.
    network: str | None = None
    #: Share of that network's channels.
    width: float = 1.0
    #: Stages whose mean an ensemble is.
    of: tuple[str, ...] = ()
    #: Sides of the images, made smaller by averaging; the network's own size without it.
    pixels: int | None = None
    #: Training images that it sees, as many of each class; all without it.
    images: int | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A plan as read: the network, and what is done to it."""

    network: str
    width: float
    seed: int
    steps: tuple[Step, ...]


def read_plan(file: Path, overrides: Mapping[tuple[str, str], Any], scale: float = 1.0) -> Plan:
    """The plan in `file`, `overrides` of its options on top. Raises ConfigError for what it cannot mean."""
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    head = tables.get("plan", {})
    base = load_settings(file, None, beside=frozenset({"plan", "stage"}))
    steps: list[Step] = []
    for entry in tables.get("stage", []):
        own = {key: value for key, value in entry.items() if not isinstance(value, dict)}
        options = {
            (section, key): value
            for section, table in entry.items()
            if isinstance(table, dict)
            for key, value in table.items()
        }
        settings = load_settings(None, options | dict(overrides), base)
        before = [step.name for step in steps if step.network is None and not step.of]
        aside = "network" in own or own.get("do") == "ensemble"
        own.setdefault("start", before[-1] if before and not aside else None)
        own["of"] = tuple(own.get("of", ()))
        unknown = set(own) - {"name", "do", "start", "teacher", "network", "width", "of", "pixels", "images"}
        if unknown or own.get("do") not in DEEDS:
            raise ConfigError(
                f"{file}: stage {entry.get('name')!r} is not one: {unknown or own.get('do')}"
                + nearest(str(own.get("do")), DEEDS)
            )
        if "network" in own and (own["do"] != "train" or own["start"] is not None):
            raise ConfigError(f"{file}: stage {own.get('name')!r} has a network of its own, which can only be trained")
        if "width" in own and "network" not in own:
            raise ConfigError(f"{file}: stage {own.get('name')!r} has a width but no network; [plan] has the plan's")
        steps.append(Step(settings=_scaled(settings, scale, int(head.get("seed", 0))), **own))
    return Plan(
        network=head["network"], width=float(head.get("width", 1.0)), seed=int(head.get("seed", 0)), steps=tuple(steps)
    )


def needed(plan: Plan, out: Path, last: str) -> set[str]:
    """Names of the stages that `last`, and every one that it needs, still needs to be run."""
    known = {step.name: step for step in plan.steps}
    if last not in known:
        raise ConfigError(f"the plan has no stage {last!r}" + nearest(last, known))
    found: set[str] = set()
    open_ends: list[str | None] = [last]
    while open_ends:
        name = open_ends.pop()
        if name is not None and name not in found and not (out / name).exists():
            found.add(name)
            open_ends += [known[name].start, known[name].teacher, *known[name].of]
    return found


def _scaled(settings: Settings, scale: float, seed: int) -> Settings:
    """`settings` with the plan's seed and `scale` times the epochs; shrinking takes fewer rounds by a greater rate."""
    train = replace(settings.train, epochs=max(1, round(settings.train.epochs * scale)), seed=seed)
    tune = settings.finetune
    if tune.epochs:
        tune = replace(tune, epochs=max(1, round(tune.epochs * scale)))
    shrink = settings.shrink
    if scale != 1:
        late = None if shrink.late_rate is None else min(100.0, shrink.late_rate ** (1 / scale))
        shrink = replace(shrink, rate=min(100.0, shrink.rate ** (1 / scale)), late_rate=late)
    return replace(settings, train=train, finetune=tune, shrink=shrink)


def way_to(plan: Plan, step: Step) -> list[Step]:
    """The stages that `step` goes on from, the first one first."""
    known, way = {other.name: other for other in plan.steps}, []
    while step.start is not None:
        step = known[step.start]
        way.append(step)
    return way[::-1]
