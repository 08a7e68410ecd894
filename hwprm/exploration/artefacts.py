"""What points share and a study keeps: compact networks, fine-tuned ones, integer ones, each under a digest of all that
it hangs on. What is there is not made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hwprm.config import Settings
from hwprm.config.settings import option_lines
from hwprm.core.cache import keep
from hwprm.core.errors import InputError
from hwprm.core.files import read_json
from hwprm.exploration.points import Point
from hwprm.exploration.software import Origin, prune_task, pruning_settings, quantize_task, tune_task
from hwprm.exploration.workers import Pool
from hwprm.intnet import IntegerNetwork
from hwprm.model import Model
from hwprm.pipeline.code import code_digest

__all__ = ["Artefacts", "Integers", "as_tuned"]

#: Where they lie in the study's folder; and unfinished training.
PLACE, WORK = "artefacts", "work"
ACCURACY = "accuracy.json"
REFUSED = "refused.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class Integers:
    """An integer network and its accuracy on held-out images, per cent; `key` is what it is kept under."""

    key: str
    network: IntegerNetwork
    accuracy: float | None


class Artefacts:
    """The artefacts of one study. Tasks run in `pool`; what they give back is written by this process alone."""

    def __init__(self, folder: Path, source: Model, origin: Origin, pool: Pool) -> None:
        self.folder, self.source, self.pool = folder, source, pool
        self._origin = pool.share(origin)
        self._shared = pool.share(source)
        self._start = _digest([source.graph.weights_digest, source.stage, origin.fingerprint])

    def compact_key(self, settings: Settings) -> str:
        """Under which the pruned network of `settings` is kept."""
        pruning = pruning_settings(settings)
        sections = ("data", "run", "train", settings.run.method, "purify", "array", "quantize")
        lines = [line for line in option_lines(pruning, sections) if not line.startswith("data.name=")]
        return _digest([self._start, *lines, code_digest(prune_task)])

    def tuned_key(self, settings: Settings) -> str:
        """Under which the fine-tuned network of `settings` is kept."""
        if not settings.finetune.epochs:
            return self.compact_key(settings)
        lines = option_lines(settings, ("train", "finetune"))
        return _digest([self.compact_key(settings), *lines, code_digest(tune_task)])

    def integers_key(self, settings: Settings, model_key: str) -> str:
        """Under which the integers of the model `model_key` are kept."""
        return _digest([model_key, *option_lines(settings, ("quantize",)), code_digest(quantize_task)])

    def prune(self, points: Iterable[Settings], done: Callable[[], None]) -> dict[str, str]:
        """Make the compact networks of `points` that are missing; which cannot be made, and why, by key.

        Points on one way of shrinking are one task. `done` is called after each task.
        """
        ways: dict[str, dict[str, Settings]] = {}
        for settings in points:
            key = self.compact_key(settings)
            if self._lacks(key):
                ways.setdefault(self._way(settings), {})[key] = pruning_settings(settings)
        ordered = {way: sorted(found.items(), key=_how_far) for way, found in ways.items()}
        tasks = [
            (self._shared, self._origin, [settings for _, settings in found], self._work(f"prune-{way}"))
            for way, found in ordered.items()
        ]
        keys = [[key for key, _ in found] for found in ordered.values()]
        for index, made in self.pool.run(prune_task, tasks):
            for key, model in zip(keys[index], made, strict=True):
                self._put(key, model)
            done()
        return self._refusals(self.compact_key(settings) for settings in points)

    def tune(self, points: Iterable[Settings], done: Callable[[], None]) -> dict[str, str]:
        """Fine-tune the compact networks of `points` where that is missing; which cannot be, and why, by key."""
        missing = {key: settings for settings in points if self._lacks(key := self.tuned_key(settings))}
        tasks = [
            (self.model(self.compact_key(settings)), self._shared, self._origin, settings, self._work(f"tune-{key}"))
            for key, settings in missing.items()
        ]
        keys = list(missing)
        for index, model in self.pool.run(tune_task, tasks):
            self._put(keys[index], model)
            done()
        return self._refusals(self.tuned_key(settings) for settings in points)

    def quantize(
        self,
        points: Sequence[tuple[str, Settings]],
        done: Callable[[], None],
    ) -> dict[str, str]:
        """Make the integers of `points`, pairs of a kept model's key and settings; which cannot be made, and why."""
        asked = {self.integers_key(settings, key): (key, settings) for key, settings in points}
        missing = {key: asked[key] for key in asked if self._lacks(key)}
        tasks = [(self.model(model), self._origin, settings) for model, settings in missing.values()]
        keys = list(missing)
        for index, made in self.pool.run(quantize_task, tasks):
            if isinstance(made, str):
                self._put(keys[index], made)
            else:
                self.put_integers(keys[index], *made)
            done()
        return self._refusals(asked)

    def made(self, settings: Settings) -> tuple[Integers, Model]:
        """The integers of `settings` and the network behind them, made where they are not kept.

        Raises InputError when there are none, with the reason.
        """
        key = self.tuned_key(settings)
        refused = self.prune([settings], _quiet) or self.tune([settings], _quiet)
        refused = refused or self.quantize([(key, settings)], _quiet)
        if refused:
            raise InputError(f"the point cannot be built: {next(iter(refused.values()))}")
        return self.integers(self.integers_key(settings, key)), self.model(key)

    def model(self, key: str) -> Model:
        """The network kept under `key`."""
        return Model.load(self.folder / PLACE / key)

    def integers(self, key: str) -> Integers:
        """The integers kept under `key`."""
        place = self.folder / PLACE / key
        accuracy = read_json(place / ACCURACY)["accuracy"]
        return Integers(key=key, network=IntegerNetwork.load(place), accuracy=accuracy)

    def put_integers(self, key: str, network: IntegerNetwork, accuracy: float | None) -> None:
        """Keep an integer network under `key`."""

        def write(folder: Path) -> None:
            network.save(folder)
            (folder / ACCURACY).write_text(json.dumps({"accuracy": accuracy}) + "\n")

        keep(self.folder, PLACE, key, write)

    def _way(self, settings: Settings) -> str:
        """What points have in common that differ only in how far they shrink."""
        if settings.run.method != "shrink" or len(settings.shrink.counts) > 1:
            return self.compact_key(settings)
        shrink = replace(settings.shrink, compression=1.0, left=None)
        return self.compact_key(replace(settings, shrink=shrink))

    def _work(self, name: str) -> Path:
        place = self.folder / WORK
        place.mkdir(parents=True, exist_ok=True)
        return place / name

    def _lacks(self, key: str) -> bool:
        return not (self.folder / PLACE / key).is_dir()

    def _put(self, key: str, made: Model | str) -> None:
        def write(folder: Path) -> None:
            if isinstance(made, str):
                (folder / REFUSED).write_text(json.dumps({"why": made}) + "\n")
            else:
                made.save(folder)

        keep(self.folder, PLACE, key, write)

    def _refusals(self, keys: Iterable[str]) -> dict[str, str]:
        files = {key: self.folder / PLACE / key / REFUSED for key in keys}
        return {key: str(read_json(file)["why"]) for key, file in files.items() if file.is_file()}


def _quiet() -> None:
    """Nobody watches."""


def as_tuned(settings: Settings, point: Point) -> Settings:
    """`settings` with as much fine-tuning as `point` got: little where it was only ranked."""
    if point.final:
        return settings
    epochs = min(settings.explore.rank_epochs, settings.finetune.epochs)
    return replace(settings, finetune=replace(settings.finetune, epochs=epochs))


def _how_far(entry: tuple[str, Settings]) -> float:
    """What points of one way are sorted by, so that each begins where the one before ended."""
    shrink = entry[1].shrink
    return -float(shrink.left) if shrink.left is not None else shrink.compression


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:24]
