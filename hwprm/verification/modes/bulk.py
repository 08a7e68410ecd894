"""Bulk mode: many images at full speed; logits and cycle counts compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from hwprm.bundle.manifest import LayerEntry, Manifest
from hwprm.intnet.reference import logits as reference_logits
from hwprm.verification.comparison.compare import Comparison, compare_logits
from hwprm.verification.comparison.events import Frame, Section, instability, read_sections, strayed
from hwprm.verification.comparison.external_memory import compare_stalls, memory_plusargs, waiting_cycles
from hwprm.verification.comparison.timing import compute_cycles, first_layer_cycles, loading_hidden, room_stalls
from hwprm.verification.coverage.choose import ranges
from hwprm.verification.modes.simulation import ModeOutcome, Simulation, Stimulus, keep_wave, running
from hwprm.verification.modes.trace import compare_trace
from hwprm.verification.results.report import Case
from hwprm.verification.simulators.session import Session

__all__ = ["run_bulk"]

MODE = "bulk"
TESTS = ["stream"]


def run_bulk(simulation: Simulation, count: int) -> ModeOutcome:
    """Stream the simulation's first `count` images; compare every logit, the cycle register and every frame interval.

    Of the first `verify.trace_images` of them every layer is compared too, and its cycles.
    """
    manifest = simulation.bundle.manifest
    images = simulation.images[:count]
    traced = min(simulation.config.trace_images, count)
    expected = reference_logits(simulation.bundle.network, images)
    flat = np.concatenate([expected[e.name].reshape(len(images), -1) for e in manifest.layers if e.wide], axis=1)
    serial = manifest.serial  # whose bytes cocotb makes
    trace = [f"+trace_images={-(-traced // manifest.array.batch)}"] if traced else []
    stimulus = Stimulus(
        mode=MODE,
        images=images,
        logits=flat,
        tests=TESTS,
        plusargs=["+bulk" if serial is None else "+serial", f"+images={len(images)}", *trace, *_memory(simulation)],
        bench="" if serial is None else "uart_bulk",
    )
    with running(simulation, stimulus) as session:
        sections = read_sections(session.events)
        counters = session.note("bulk.json")
        compared = compare_trace(simulation, session.folder / "trace.txt", images[:traced])
        waves = keep_wave(simulation, MODE, session)
    frames = sections[0].frames
    cases = [_stream_case(simulation, session, sections[0])]
    cases.append(replace(simulation.case(MODE, "offers stand still"), failure=instability(sections)))
    if manifest.external:
        cases.append(replace(simulation.case(MODE, "addresses"), failure=strayed(sections)))
    for source, first, last in ranges(simulation.groups, len(images)):
        total = Comparison()
        for i in range(first, last):
            frame = frames[i] if i < len(frames) else None
            total += compare_logits(frame, i, manifest.layers, {k: v[i] for k, v in expected.items()})
        cases.append(simulation.case(MODE, f"images {first}..{last - 1}, {source}", total))
    if len(frames) > len(images):
        failure = f"{len(frames)} images left the design, {len(images)} went in"
        cases.append(replace(simulation.case(MODE, "surplus"), failure=failure))
    batches = sections[0].batches(manifest.array.batch)
    interval, cycle_case = _cycles(simulation, manifest, batches, counters)
    cases.append(cycle_case)
    if manifest.external:
        cases.append(_stalls(simulation, sections[0], counters))
    computed = counters["CYCLES"] - counters["MEMORY_STALLS"] if counters else None
    measured = first_layer_cycles(frames, manifest, computed) if traced else ()
    if traced:
        cases += [_layer_case(simulation, entry, compared.get(entry.name), dict(measured)) for entry in manifest.layers]
    return ModeOutcome(
        mode=MODE,
        simulator=simulation.simulator.name,
        cases=tuple(cases),
        images=len(images),
        sections=tuple(sections),
        cycles=interval,
        memory_stalls=counters["MEMORY_STALLS"] if counters and manifest.external else None,
        layer_cycles=measured,
        waves=waves,
    )


def _layer_case(
    simulation: Simulation, entry: LayerEntry, compared: Comparison | None, measured: Mapping[str, int]
) -> Case:
    """Values and cycles of a layer; cycles alone for outputs, whose values are compared with all images'."""
    predicted, simulated = simulation.bundle.manifest.cycles.layers[entry.index], measured.get(entry.name)
    case = simulation.case(MODE, f"layer {entry.name}", compared)
    failure = case.failure
    if failure is None and simulated != predicted:
        failure = f"layer {entry.name!r} takes {simulated} cycles, {predicted} are predicted"
    properties = (("cycles_predicted", str(predicted)), ("cycles_simulated", str(simulated)))
    return replace(case, failure=failure, properties=properties)


def _memory(simulation: Simulation) -> list[str]:
    """Arguments for the testbench's memory, and a watchdog as patient as that needs."""
    manifest = simulation.bundle.manifest
    if manifest.external is None:
        return []
    words = manifest.array.batch * manifest.image_words
    waiting = waiting_cycles(simulation.bundle, simulation.memory)
    patience = 4 * (manifest.cycles.image + words + waiting) + 10_000
    return [*memory_plusargs(simulation.memory), f"+watchdog={patience}"]


def _stream_case(simulation: Simulation, session: Session, section: Section) -> Case:
    failure = session.trouble or next((case.failure for case in session.cases if case.failure), None)
    if failure is None and section.stuck:
        failure = "the watchdog barked"
    seconds = sum(case.seconds for case in session.cases)
    return replace(simulation.case(MODE, "stream"), failure=failure, seconds=seconds)


def _cycles(
    simulation: Simulation, manifest: Manifest, frames: Sequence[Frame], counters: dict[str, int] | None
) -> tuple[int | None, Case]:
    """Steady-state cycles per image, and the case that holds them against the prediction."""
    predicted = manifest.cycles.image
    register = counters["CYCLES"] - counters["MEMORY_STALLS"] if counters else None
    started = [frame for frame in frames if frame.starts]
    intervals = Counter(compute_cycles(frame, after) for frame, after in pairwise(started))
    hidden = loading_hidden(manifest)
    failure = None
    if register != predicted:
        failure = f"the CYCLES register reads {register}, {predicted} are predicted"
    elif hidden and set(intervals) - {predicted}:
        failure = f"images start {dict(sorted(intervals.items()))} cycles apart (times), {predicted} are predicted"
    elif counters and (lost := room_stalls(frames, manifest)) not in (None, counters.get("STALLS", lost)):
        failure = f"the STALLS register reads {counters['STALLS']}, layers started {lost} cycles late"
    elif len(started) != len(frames) or not started:
        failure = f"{len(started)} of {len(frames)} images were seen to start"
    simulated = next(iter(intervals)) if hidden and len(intervals) == 1 else register
    properties = (
        ("cycles_predicted", str(predicted)),
        ("cycles_simulated", str(simulated)),
        ("cycles_register", str(register)),
        ("intervals", str(sum(intervals.values()))),
    )
    return simulated, replace(simulation.case(MODE, "cycles per image"), failure=failure, properties=properties)


def _stalls(simulation: Simulation, section: Section, counters: dict[str, int] | None) -> Case:
    register = counters["MEMORY_STALLS"] if counters else None
    predicted, failure = compare_stalls(simulation.bundle, simulation.memory, section, register)
    properties = (
        ("latency", str(simulation.memory.latency)),
        ("bandwidth", simulation.memory.bandwidth),
        ("images_predicted", str(len(predicted))),
        ("stalls_predicted", str(predicted[-1] if predicted else None)),
        ("stalls_register", str(register)),
    )
    return replace(simulation.case(MODE, "memory stalls"), failure=failure, properties=properties)
