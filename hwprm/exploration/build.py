"""A point of a study, built: network, bundle, simulation, synthesis; and its figures beside those promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwprm import api
from hwprm.bundle import Bundle
from hwprm.bundle.images import random_images
from hwprm.compiler import compile_network
from hwprm.config import Settings, SiliconConfig
from hwprm.config.emit import TARGETS
from hwprm.core.errors import InputError, MismatchError, TimingError
from hwprm.core.files import check_output, lock_folder, new_folder
from hwprm.core.progress import Progress
from hwprm.data import split_validation
from hwprm.emission import emit_bundle, host_of
from hwprm.exploration.artefacts import Artefacts, as_tuned
from hwprm.exploration.kept import kept_settings, kept_source
from hwprm.exploration.points import Point
from hwprm.exploration.software import Origin, quantized, score
from hwprm.exploration.space import typed, with_options
from hwprm.exploration.study import Study
from hwprm.exploration.workers import Here
from hwprm.intnet import IntegerNetwork
from hwprm.model import Model
from hwprm.sources import Split, as_split
from hwprm.targets import Placement, Synthesis, placement_facts, synthesis_facts, write_result
from hwprm.targets.catalogue import find_target

__all__ = ["Built", "build_point"]

#: Figures that have to be what was promised, to the last digit.
EXACT = ("cycles", "accuracy", "multipliers", "onchip_bits", "dsp", "bram")
#: Images of a bundle where the study has no data.
RANDOM_IMAGES = 16


@dataclass(frozen=True, kw_only=True)
class Built:
    """A built point: where it lies, what it was promised to be and what it is, by metric."""

    point: Point
    folder: Path
    promised: Mapping[str, float]
    found: Mapping[str, float]
    verified: Mapping[str, Any]
    silicon: Mapping[str, Any] | None
    #: What to say where it was placed and runs slower than the study's clock.
    missed: TimingError | None = None

    @property
    def differences(self) -> tuple[str, ...]:
        """Exact figures that are others than promised."""
        return tuple(name for name in EXACT if name in self.promised and name in self.found and not self._same(name))

    def _same(self, name: str) -> bool:
        return abs(self.promised[name] - self.found[name]) < 1e-4

    @property
    def error(self) -> MismatchError | None:
        """What to say when exact figures differ; None when they do not."""
        if self.differences:
            told = ", ".join(f"{n} {self.found[n]:g} instead of {self.promised[n]:g}" for n in self.differences)
            return MismatchError(
                f"point {self.point.number} is not what it was promised to be: {told}; the study's files were "
                "edited, or this is a fault of hwprm: explore into a new folder, and report it if it stays"
            )
        return None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "point": self.point.to_json(),
            "out": str(self.folder),
            "promised": dict(self.promised),
            "built": dict(self.found),
            "differences": list(self.differences),
            "verify": dict(self.verified),
            **({"silicon": dict(self.silicon)} if self.silicon else {}),
        }


def build_point(
    study: Study | Path | str,
    number: int,
    *,
    out: Path | str,
    data: Any = None,
    through: str = "verify",
    progress: Progress | None = None,
) -> Built:
    """Build point `number` of `study` into the new folder `out`: prune, fine-tune, quantise, compile and verify it.

    What the study kept is taken, what it lacks is made again. With `through` ``synth`` or ``pnr`` it is synthesised,
    or placed and routed at the study's clock, for its target too, into ``out/silicon``. `data` is what was explored
    with, where that had no name; or those options of the section `data`, by name, that are others here, such as
    ``data_dir``.
    Raises InputError when there is no such point or it was refused, MismatchError when the simulation differs from the
    reference, and what the verbs raise.
    """
    study = study if isinstance(study, Study) else Study.load(Path(study))
    point, place = study.point(number), Path(out)
    if point.refused:
        raise InputError(f"point {number} cannot be built: {point.refused}")
    target = study.about.get("target")
    if through != "verify" and not target:
        raise InputError(f"--through {through} needs the device that a study is for, and {study.folder} has none")
    check_output(place)
    settings = with_options(kept_settings(study.folder), typed(point.options))
    settings = as_tuned(settings, point)
    source = kept_source(study.folder)
    split = None if study.identity["data"] is None else _split(study, settings, data)
    with new_folder(place) as work:
        net, model = _network(study, source, split, settings)
        for noun, name in ((model, "model"), (net, "network")):
            if noun is not None:
                (work / name).mkdir()
                noun.save(work / name)
        bundle = _bundle(net, split, settings, target, work / "bundle")
        report = api.verify(bundle, settings.verify, memory=settings.memory, progress=progress)
        report.raise_on_failure()
        found = _figures(bundle, net, settings, split)
    bundle = Bundle.load(place / "bundle")
    promised, silicon, missed = dict(point.values), None, None
    if through != "verify":
        clock = study.about.get("clock") if through == "pnr" else None
        silicon, missed = _silicon(bundle, through, SiliconConfig(target=str(target), clock=clock), place, progress)
        found |= {key: silicon[key] for key in ("lut4", "ff", "dsp", "bram") if silicon.get(key) is not None}
        if through == "pnr":
            found |= {"clock_mhz": silicon["fmax_mhz"], "images_per_second": silicon["images_per_second"]}
            promised |= {} if clock is None else {"clock_mhz": clock}
    return Built(
        point=point,
        folder=place,
        promised=promised,
        found=found,
        verified={"images": report.images, "values_compared": report.values_compared, "mismatches": 0},
        silicon=silicon,
        missed=missed,
    )


def _split(study: Study, settings: Settings, data: Any) -> Split:
    if isinstance(data, str | Path):
        data = replace(settings.data, name=str(data))
    elif isinstance(data, Mapping):
        data = replace(settings.data, **data)
    split = as_split(settings.data if data is None else data)
    if split.x_validation is None and settings.data.validation:
        rest, images, labels = split_validation(split.dataset, settings.data.validation, seed=0)
        split = Split(dataset=rest, x_validation=images, y_validation=labels)
    if split.dataset.fingerprint != study.identity["data"]:
        raise InputError(
            f"{study.folder} was explored with other images than {split.dataset.name} ({split.dataset.source}); give "
            "the same data (--data)"
        )
    return split


def _network(
    study: Study, source: Model | IntegerNetwork, split: Split | None, settings: Settings
) -> tuple[IntegerNetwork, Model | None]:
    """The point's integer network, and the float one that it was made of where the study made that."""
    if isinstance(source, IntegerNetwork):
        return source, None
    assert split is not None
    if study.identity["mode"] != "search":
        return quantized(source, split, settings)[0], None
    origin = Origin(fingerprint=split.dataset.fingerprint, split=split)
    artefacts = Artefacts(study.folder, source, origin, Here())
    with lock_folder(study.folder):
        integers, model = artefacts.made(settings)
    return integers.network, model


def _bundle(net: IntegerNetwork, split: Split | None, settings: Settings, target: Any, out: Path) -> Bundle:
    """The point's bundle, in cells of the target where it has some."""
    cells: Any = find_target(str(target)).cells if target else TARGETS[0]
    emit = settings.emit if cells == TARGETS[0] else replace(settings.emit, target=cells)
    if split is not None:
        return api.compile(net, split, out=out, array=settings.array, emit=emit)
    images = random_images(RANDOM_IMAGES, net.image_limits, 0)
    program = compile_network(net, settings.array, images=images)
    return emit_bundle(program, images, None, out, target=emit.target, host=host_of(emit))


def _figures(bundle: Bundle, net: IntegerNetwork, settings: Settings, split: Split | None) -> dict[str, float]:
    """What the built point is, by the names of metrics: of the bundle where that says it."""
    program = bundle.program
    report = program.cycles
    stalls = 0
    if settings.array.weights == "axi":
        stalls = sum(api.estimate(net, settings.array, memory=settings.memory).stalls)
    cycles = (report.total + stalls) / report.batch
    found: dict[str, float] = {
        "cycles": cycles,
        "multipliers": report.rows * report.cols,
        "onchip_bits": sum(program.onchip_bits.values()),
    }
    right = None if split is None else score(net, split, split.x_validation, split.y_validation)
    return found if right is None else {"accuracy": round(right, 4)} | found


def _silicon(
    bundle: Bundle, through: str, config: SiliconConfig, place: Path, progress: Progress | None
) -> tuple[dict[str, Any], TimingError | None]:
    """What the tools found, left in the folder ``silicon`` of `place`, too, and what to say of a missed clock."""
    synthesis: Synthesis
    placed: Placement | None = None
    if through == "synth":
        synthesis = api.synth(bundle, config, progress=progress)
        facts = synthesis_facts(synthesis)
    else:
        placed = api.pnr(bundle, config, progress=progress)
        synthesis, facts = placed.synthesis, placement_facts(placed)
    write_result(facts, synthesis, placed, place / "silicon")
    return facts, placed.missed if placed else None
