"""Protocol mode: a few images through AXI bus models, with misuse, and every layer boundary compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle import Bundle
from hwprm.bundle.manifest import Manifest
from hwprm.core.resources import resource_dir
from hwprm.intnet.reference import run
from hwprm.verification.comparison.compare import Comparison, compare_layers, compare_outputs
from hwprm.verification.comparison.events import Frame, Section, instability, read_sections, strayed
from hwprm.verification.comparison.timing import layer_cycles, loading_hidden, room_stalls
from hwprm.verification.comparison.vectors import by_layer
from hwprm.verification.modes.simulation import ModeOutcome, Simulation, Stimulus, keep_wave, running
from hwprm.verification.results.report import Case
from hwprm.verification.simulators.session import Session

__all__ = ["run_protocol", "test_names"]

IntArray = NDArray[np.int64]
MODE = "protocol"


def test_names(mode: str) -> list[str]:
    """Names of the cocotb tests of ``sim/tb_<mode>.py``, or of another module there; all of them must have run."""
    text = (resource_dir("sim") / f"tb_{mode}.py").read_text()
    return re.findall(r"^@cocotb\.test\(.*\)\nasync def (\w+)\(", text, re.MULTILINE)


def run_protocol(simulation: Simulation) -> ModeOutcome:
    """Run every protocol test on the first images and compare all layers of all images that ran to the end."""
    manifest = simulation.bundle.manifest
    images = simulation.images[: simulation.config.protocol_count]
    tensors = run(simulation.bundle.network, images)
    logits = np.concatenate([tensors[e.name].reshape(len(images), -1) for e in manifest.layers if e.wide], axis=1)
    more = [*(["batch"] if manifest.array.batch > 1 else []), *(["external"] if manifest.external else [])]
    bench = MODE if manifest.host == "axi" else manifest.host
    tests = [name for module in (bench, *more) for name in test_names(module)]
    stimulus = Stimulus(
        mode=MODE, images=images, logits=logits, tests=tests, plusargs=["+probe"], more=more, bench=bench
    )
    with running(simulation, stimulus) as session:
        sections = tuple(read_sections(session.events))
        compared, missing = _compare(session, sections, simulation.bundle, tensors)
        steady = _steady_frames(session, sections)
        stalls = _stalls(session, sections, manifest)
        waves = keep_wave(simulation, MODE, session)
    measured = layer_cycles(steady, manifest) if steady else ()
    whole = replace(simulation.case(MODE, "session"), failure=session.trouble)
    cases = [whole, *_cocotb_cases(simulation, session, missing)]
    cases.append(replace(simulation.case(MODE, "stalls"), failure=stalls))
    cases.append(replace(simulation.case(MODE, "offers stand still"), failure=instability(sections)))
    if manifest.external:
        cases.append(replace(simulation.case(MODE, "addresses"), failure=strayed(sections)))
    for index, entry in enumerate(manifest.layers):
        case = simulation.case(MODE, f"layer {entry.name}", sum(compared[entry.name], Comparison()))
        simulated = dict(measured).get(entry.name)
        predicted = manifest.cycles.layers[index]
        failure = case.failure
        last = index == len(manifest.layers) - 1
        # The last layer ends when the next image starts, which has to have come by then.
        exact = loading_hidden(manifest) or not last
        if failure is None and exact and simulated is not None and simulated != predicted:
            failure = f"layer {entry.name!r} takes {simulated} cycles, {predicted} are predicted"
        properties = (("cycles_predicted", str(predicted)), ("cycles_simulated", str(simulated)))
        cases.append(replace(case, failure=failure, properties=properties))
    return ModeOutcome(
        mode=MODE,
        simulator=simulation.simulator.name,
        cases=tuple(cases),
        images=len(images),
        sections=sections,
        cycles=sum(cycles for _, cycles in measured) or None,
        layer_cycles=measured,
        waves=waves,
    )


def _compare(
    session: Session, sections: tuple[Section, ...], bundle: Bundle, tensors: Mapping[str, IntArray]
) -> tuple[dict[str, list[Comparison]], dict[str, str]]:
    """Comparisons by layer, and by cocotb test the reason why its images could not be compared."""
    manifest, kept = bundle.manifest, bundle.program.kept_channels
    compared: dict[str, list[Comparison]] = {entry.name: [] for entry in manifest.layers}
    missing: dict[str, str] = {}
    for section in sections:
        note = session.note(f"note_{section.mark}.json")
        if note is None:
            continue
        if len(section.frames) != len(note["images"]):
            missing[note["name"]] = (
                f"{len(section.frames)} images are in the event log, {len(note['images'])} were sent"
            )
        batch = manifest.array.batch
        places = [(k, (i, batch)) for k, size in enumerate(note["batches"]) for i in range(size)]
        for frame, image, (computed, within) in zip(section.frames, note["images"], places, strict=False):
            expected = {name: tensor[image] for name, tensor in tensors.items()}
            mine = by_layer(section.frames[computed].stores)
            layers = compare_layers(mine, image, manifest.layers, expected, manifest.array.act_bits, within)
            outputs = compare_outputs(frame, image, manifest.layers, expected)
            for name, comparison in (layers | outputs).items():
                compared[name].append(comparison.of(kept.get(name)))
    return compared, missing


def _cocotb_cases(simulation: Simulation, session: Session, missing: Mapping[str, str]) -> list[Case]:
    cases = []
    for case in session.cases:
        failure = case.failure or missing.get(case.name)
        cases.append(replace(simulation.case(MODE, case.name), failure=failure, seconds=case.seconds))
    return cases


def _stalls(session: Session, sections: tuple[Section, ...], manifest: Manifest) -> str | None:
    """Where the STALLS register is not what layers started late in the test whose logits nobody took."""
    note = session.note("stalls.json")
    section = next((section for section in sections if note and section.mark == note["mark"]), None)
    lost = room_stalls(section.batches(manifest.array.batch), manifest) if section else None
    if note is None or lost is None or note["stalls"] == lost:
        return None
    return f"the STALLS register reads {note['stalls']}, layers started {lost} cycles late"


def _steady_frames(session: Session, sections: tuple[Section, ...]) -> tuple[Frame, Frame] | None:
    """The first two images of the test that sends them back to back, None when there are not as many."""
    for section in sections:
        note = session.note(f"note_{section.mark}.json")
        if note and note["name"] == "back_to_back" and len(section.frames) >= 2:
            return section.frames[0], section.frames[1]
    return None
