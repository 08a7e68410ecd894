"""`explore`: which network, which array, which bits, for this device and this frame rate."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hwprm.config import DataConfig, ExploreConfig, Settings
from hwprm.config.presets import HELD_OUT, explore_defaults
from hwprm.config.settings import option_lines
from hwprm.core.errors import ConfigError, DataError, UnsupportedError
from hwprm.core.files import check_output, lock_folder
from hwprm.core.progress import Progress, without_numbers
from hwprm.core.versions import digest_of_files
from hwprm.exploration.advice import first_refusal, larger_device, nearest_point
from hwprm.exploration.artefacts import Artefacts, Integers, as_tuned
from hwprm.exploration.evaluate import measured
from hwprm.exploration.kept import keep_source
from hwprm.exploration.metrics import LIMITS, limits_of, objectives_of
from hwprm.exploration.points import POINTS, Journal, Point, plain
from hwprm.exploration.search import Search
from hwprm.exploration.software import Origin, prune_task, quantize_task, quantized, score, tune_task
from hwprm.exploration.space import HARDWARE, SOFTWARE, Options, Space, check_effect, make_space, typed, with_options
from hwprm.exploration.study import STUDY_FILE, Study, check_identity
from hwprm.exploration.workers import Pool, pool_of
from hwprm.intnet import IntegerNetwork
from hwprm.model import Model, Stage
from hwprm.pipeline.code import code_digest
from hwprm.sources import Split, as_model, as_split, plain_network, title
from hwprm.targets.catalogue import find_target
from hwprm.targets.model import MODELLED

__all__ = ["explore"]


def explore(
    source: Any,
    config: ExploreConfig | None = None,
    *,
    out: Path | str = "study",
    data: Any = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Study:
    """Explore the space of `config` for the network `source`, and return the study, which the folder `out` keeps.

    Where the space holds options of hardware and quantisation alone, every point is computed; a space with options of
    pruning or training is searched, from a dense model. `settings` are the options of all points but for their
    dimensions. `data`, in any form that the verbs take, calibrates, trains and judges; by default it is
    ``settings.data``, and an integer network without `data` has no accuracy. A folder that holds the same study
    goes on where that was interrupted. Raises ConfigError for a space, objectives or limits that make no sense,
    InputError for a folder of another study, and what the verbs raise.
    """
    settings = replace(settings or explore_defaults(), explore=config or ExploreConfig())
    space = make_space(settings.explore)
    check_effect(space, settings)
    subject = _subject(source, data, settings, space)
    _check_target(settings.explore)
    joint = not space.hardware_only
    objectives = objectives_of(settings.explore, subject.available, joint)
    limits = limits_of(settings.explore, subject.available)
    if not joint:
        next(iter(space.points()))  # refuses what cannot be counted out
    study = Study(
        folder=Path(out),
        identity=_identity(subject, space, joint),
        objectives=objectives,
        limits=limits,
        points=(),
        size=None if joint else space.size,
        about=_about(subject, source),
    )
    with lock_folder(study.folder):
        _open(study, subject)
        journal = Journal(study.folder)
        with pool_of(settings.explore) as pool:
            run = _Run(
                subject=subject, space=space, study=study, journal=journal, pool=pool, tell=without_numbers(progress)
            )
            run.search() if joint else run.sweep()
            done = run.advised(run.scored())
        done.save_head()
        done.save_tables()
    return done


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """What is explored: a model, or integers already; the options of every point; the images."""

    settings: Settings
    model: Model | None
    integers: IntegerNetwork | None
    split: Split | None
    origin: Origin | None
    #: Needs of metrics that are met.
    available: tuple[str, ...]
    digest: str


def _subject(source: Any, data: Any, settings: Settings, space: Space) -> _Subject:
    integers = plain_network(source)
    if integers is not None:
        bits = [d.key for d in space.dimensions if d.option.section not in ("array", "memory")]
        if bits:
            raise ConfigError(
                f"{bits[0]} is a dimension, but {title(source)!r} is a network of integers; give the float model"
            )
    data = _held_out(settings.data if data is None else data) if integers is None or data is not None else None
    split = None if data is None else as_split(data)
    model = None
    if integers is None:
        assert split is not None
        model = as_model(source, split.dataset.image_shape)
        if not space.hardware_only and model.stage is not Stage.DENSE:
            keys = ", ".join(d.key for d in space.dimensions if not d.hardware)
            raise ConfigError(
                f"{keys} need a dense model, and this one is {model.stage}; give the dense one, or take dimensions of "
                f"{' and '.join(HARDWARE)} alone"
            )
    labelled = split is not None and split.x_validation is not None and split.dataset.classes > 0
    if not space.hardware_only and not labelled:
        raise DataError(
            "points of a search are judged by images held out of the training split: name labelled data, and hold some "
            "out with --validation N"
        )
    met = (("accuracy", labelled), ("target", settings.explore.target), ("clock", settings.explore.clock))
    if isinstance(data, DataConfig):
        settings = replace(settings, data=data)
    return _Subject(
        settings=settings,
        model=model,
        integers=integers,
        split=split,
        origin=None if split is None else _origin(split, data),
        available=tuple(name for name, there in met if there),
        digest=_saved_digest(model or integers),
    )


def _held_out(data: Any) -> Any:
    """`data`, with a fifth of a small training split held out where the usual number of images is more than that.

    Another number was somebody's wish, and stands. Of images without labels none are held out.
    """
    if not isinstance(data, DataConfig) or data.validation != HELD_OUT:
        return data
    whole = as_split(replace(data, validation=0)).dataset
    return replace(data, validation=min(HELD_OUT, len(whole.x_train) // 5) if whole.classes else 0)


def _origin(split: Split, data: Any) -> Origin:
    """What workers get: a set by name or path is loaded where they are, an object is sent."""
    fingerprint = split.dataset.fingerprint
    if isinstance(data, DataConfig):
        return Origin(fingerprint=fingerprint, config=data)
    return Origin(fingerprint=fingerprint, split=split)


def _saved_digest(noun: Model | IntegerNetwork | None) -> str:
    assert noun is not None  # one of the two is there
    with tempfile.TemporaryDirectory() as folder:
        noun.save(Path(folder))
        return digest_of_files(Path(folder))


def _check_target(config: ExploreConfig) -> None:
    if config.target is None:
        return
    family = find_target(config.target).family.name
    if family != MODELLED:
        raise UnsupportedError(
            f"{config.target}: the size of designs is predicted for {MODELLED} alone, not for {family}; "
            "leave --target out and use `hwprm synth` on points of the front"
        )


def _identity(subject: _Subject, space: Space, joint: bool) -> dict[str, Any]:
    explored = {dimension.key for dimension in space.dimensions}
    config = subject.settings.explore
    own = [f"explore.{name}={getattr(config, name)!r}" for name in ("target", "clock")]
    if joint:
        # Limits too: what breaks one is not fine-tuned, and they steer what is proposed.
        names = ("objectives", "proposals", "seed", "rank_epochs", *LIMITS)
        own += [f"explore.{name}={getattr(config, name)!r}" for name in names]
        own.append(f"run.method={subject.settings.run.method!r}")
    sections = ("data", *SOFTWARE[1:], *HARDWARE) if joint else ("data", *HARDWARE)
    lines = option_lines(subject.settings, sections if subject.split is not None else ("array", "memory"))
    lines = [line for line in lines if not line.startswith("data.name=")]  # perhaps a path; a digest says which images
    return {
        "mode": "search" if joint else "every point",
        "network": subject.digest,
        "data": None if subject.split is None else subject.split.dataset.fingerprint,
        "code": _code(joint),
        "space": space.describe(),
        "options": [line for line in lines if line.partition("=")[0] not in explored] + own,
    }


def _code(joint: bool) -> str:
    """Of all the code that values of points hang on (`hwprm.pipeline.code`)."""
    made = (measured, quantize_task, *((prune_task, tune_task, Search.go) if joint else ()))
    return hashlib.sha256("".join(map(code_digest, made)).encode()).hexdigest()


def _about(subject: _Subject, source: Any) -> dict[str, Any]:
    noun = subject.integers.name if subject.integers is not None else None
    model = subject.model
    name = noun or (model.meta.get("name") if model is not None else None) or title(source)
    config = subject.settings.explore
    found: dict[str, Any] = {"network": str(name), "target": config.target, "clock": config.clock}
    if subject.split is not None:
        held = subject.split.x_validation
        found["data"] = subject.split.dataset.name
        found["judged"] = None if held is None else len(held)
    return found


def _open(study: Study, subject: _Subject) -> None:
    """Make the folder, with all that building a point takes, or find the same study in it."""
    if (study.folder / STUDY_FILE).is_file():
        check_identity(study.folder, study.identity)
    else:
        check_output(study.folder, inside=True)
        study.folder.mkdir(parents=True, exist_ok=True)
    study.save_head()  # first, so that a folder is known again; objectives and limits are those of the last run
    if not (study.folder / POINTS).is_file():
        keep_source(study.folder, subject.model or subject.integers, subject.settings)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    """One run of a study."""

    subject: _Subject
    space: Space
    study: Study
    journal: Journal
    pool: Pool
    tell: Callable[[str, int, int], None]

    def sweep(self) -> None:
        """Compute every point that the journal lacks."""
        wanted = {
            number: options for number, options in enumerate(self.space.points()) if number not in self.journal.points
        }
        networks, points = self._networks(wanted)
        total = self.study.size or 0
        self.tell("points", len(self.journal.points), total)
        for chunk in measured(self.pool, networks, points):
            self.journal.add(
                *(
                    Point(
                        number=number,
                        options=plain(wanted[number]),
                        values=found.measured.values,
                        refused=found.measured.refused,
                    )
                    for number, found in chunk
                )
            )
            self.tell("points", len(self.journal.points), total)

    def _networks(self, wanted: Mapping[int, Options]) -> tuple[dict[str, Integers], list[tuple[int, str, Settings]]]:
        """The integer networks of the points by key, and the points, but those whose options do not go together."""
        networks: dict[str, Integers] = {}
        points = []
        for number, options in wanted.items():
            try:
                settings = with_options(self.subject.settings, options)
                key = self._key(settings)
                if key not in networks:
                    self.tell("quantise", len(networks), len(networks) + 1)
                    networks[key] = self._integers(key, settings)
            except ConfigError as error:
                self.journal.add(Point(number=number, options=plain(options), refused=str(error)))
                continue
            points.append((number, key, settings))
        return networks, points

    def _key(self, settings: Settings) -> str:
        return "given" if self.subject.model is None else repr(settings.quantize)

    def _integers(self, key: str, settings: Settings) -> Integers:
        """The network of `settings`, scored on the images held out where there are some."""
        subject, split = self.subject, self.subject.split
        if subject.integers is not None:
            right = None if split is None else score(subject.integers, split, split.x_validation, split.y_validation)
            return Integers(key=key, network=subject.integers, accuracy=right)
        assert subject.model is not None and split is not None
        net, right = quantized(subject.model, split, settings)
        return Integers(key=key, network=net, accuracy=right)

    def search(self) -> None:
        """Search, or go on with it."""
        subject = self.subject
        search = Search(
            space=self.space,
            settings=subject.settings,
            objectives=self.study.objectives,
            limits=self.study.limits,
            artefacts=self.artefacts,
            journal=self.journal,
            tell=self.tell,
        )
        search.go()

    @cached_property
    def artefacts(self) -> Artefacts:
        """Those of a search."""
        subject = self.subject
        assert subject.model is not None and subject.origin is not None
        return Artefacts(self.study.folder, subject.model, subject.origin, self.pool)

    def scored(self) -> Study:
        """The study with all points, those of the front scored on the test split, which nothing was chosen by."""
        done = replace(self.study, points=tuple(self.journal.ordered))
        split = self.subject.split
        if split is None or "accuracy" not in done.measured:
            return done
        found: dict[str, float | None] = {}
        for point in done.front():
            if point.test_accuracy is None:
                key, net = self._network_of(point)
                if key not in found:
                    found[key] = score(net(), split, split.dataset.x_test, split.dataset.test_labels)
                self.journal.add(replace(point, test_accuracy=found[key]))
        return replace(done, points=tuple(self.journal.ordered))

    def advised(self, study: Study) -> Study:
        """`study`, where it has no front with what to do about that in ``about``."""
        if study.front() or not study.points:
            return study
        advice = nearest_point(study) or self._larger_device(study) or first_refusal(study)
        return replace(study, about={**study.about, "advice": advice})

    def _larger_device(self, study: Study) -> str | None:
        if not self.space.hardware_only:
            return None
        smallest = min(study.points, key=lambda point: _multipliers(self.space_settings(point)))
        why = (point.refused for point in study.points)
        return larger_device(self._network_of(smallest)[1](), self.space_settings(smallest), why)

    def _network_of(self, point: Point) -> tuple[str, Callable[[], IntegerNetwork]]:
        settings = self.space_settings(point)
        if self.space.hardware_only:
            key = self._key(settings)
            return key, lambda: self._integers(key, settings).network
        tuned = as_tuned(settings, point)
        return self.artefacts.tuned_key(tuned) + repr(tuned.quantize), lambda: self.artefacts.made(tuned)[0].network

    def space_settings(self, point: Point) -> Settings:
        """The settings of a finished point."""
        return with_options(self.subject.settings, typed(point.options))


def _multipliers(settings: Settings) -> int:
    return settings.array.rows * settings.array.cols
