"""`verify_bundle`: a bundle against the integer reference, on one simulator or two."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hwprm.bundle import Bundle
from hwprm.config.memory import MemoryConfig
from hwprm.config.verify import VerifyConfig
from hwprm.core.cache import default_cache, trim
from hwprm.core.errors import ConfigError
from hwprm.intnet.reference import logits, run
from hwprm.verification.comparison.events import Section
from hwprm.verification.comparison.external_memory import waiting_cycles
from hwprm.verification.coverage.choose import Chosen, as_stored, choose
from hwprm.verification.modes.bulk import run_bulk
from hwprm.verification.modes.layers import run_layers
from hwprm.verification.modes.protocol import run_protocol
from hwprm.verification.modes.simulation import ModeOutcome, Simulation
from hwprm.verification.results.junit import write_error, write_junit, write_unfinished
from hwprm.verification.results.report import Case, VerifyReport
from hwprm.verification.simulators.builds import build
from hwprm.verification.simulators.tools import find_simulator

__all__ = ["verify_bundle"]

#: Called before each step with what comes next, and steps done and in all; a step counts as long as it takes.
Progress = Callable[[str, int, int], None]

#: A memory that starves every layer, and the most cycles that a design may wait for it: small ones are through soon.
STARVED, STARVED_CYCLES = MemoryConfig(latency=20, bandwidth="1/40"), 200_000
#: What the steps take, as parts of a LeNet-5's verification: compiling the simulation, and the modes.
PARTS = {"build": 8, "protocol": 1, "bulk": 1, "layers": 4}


def verify_bundle(
    folder: Path,
    config: VerifyConfig,
    *,
    memory: MemoryConfig | None = None,
    junit: Path | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Simulate the bundle in `folder` and compare every integer with the numpy reference.

    `memory` is how fast the testbench's external memory is in bulk mode, for designs that read one.
    `progress` is told before each step; `junit` is where to write JUnit XML. A mismatch is in the report (see
    `VerifyReport.ok` and `raise_on_failure`), it is not raised.
    `junit` is red until the end, and whatever the end is, it says so (`hwprm.verification.results.junit`).
    Raises InputError when `junit` cannot be written, BundleError when the bundle is incomplete or edited, ToolError
    when a simulator is missing, too old or cannot compile it, ConfigError when the work folder cannot be
    written or the design has no layer mode.
    """
    if junit is None:
        return _verify(folder, config, memory or MemoryConfig(), progress or _silent)
    name = folder.absolute().name
    write_unfinished(name, junit)
    try:
        report = _verify(folder, config, memory or MemoryConfig(), progress or _silent)
    except BaseException as error:  # Ctrl-C and SIGTERM too
        write_error(name, error, junit)
        raise
    write_junit(report, junit)
    return report


def _silent(line: str, done: int, total: int) -> None:
    """The progress that nobody follows."""


def _verify(folder: Path, config: VerifyConfig, memory: MemoryConfig, progress: Progress) -> VerifyReport:
    start = time.monotonic()
    simulators = [find_simulator(name) for name in config.simulators]
    bundle = Bundle.load(folder, allow_edited=config.allow_edited)
    if "layers" in config.modes and bundle.manifest.external:
        raise ConfigError(
            "layer mode cuts ROM images, and this design keeps its program in external memory; verify it with "
            "--modes bulk --trace-images 1, which compares every layer too"
        )
    if "layers" in config.modes and bundle.manifest.netlist:
        raise ConfigError(
            "layer mode fills memories, which a netlist hides; verify it with --modes bulk --trace-images 1, which "
            "compares every layer too"
        )
    chosen = _chosen(bundle, config)
    simulations = [
        Simulation(
            bundle=bundle,
            simulator=simulator,
            config=config,
            memory=memory,
            work=(config.work or default_cache()).absolute(),  # tools run in folders of their own
            images=chosen.images,
            groups=chosen.groups,
        )
        for simulator in simulators
    ]
    outcomes = _simulate(simulations, config, progress)
    cases = [*_golden_cases(bundle), *(case for outcome in outcomes for case in outcome.cases)]
    if len(simulations) == 2:
        cases += _agreement(outcomes, config.modes, bundle.manifest.array.batch)
    return _report(simulations, chosen, outcomes, cases, time.monotonic() - start)


def _simulate(simulations: Sequence[Simulation], config: VerifyConfig, progress: Progress) -> list[ModeOutcome]:
    """Compile and run everything; `progress` hears what comes next."""
    modes = [mode for mode in ("protocol", "bulk", "layers") if mode in config.modes]
    done, total = 0, len(simulations) * sum(PARTS[step] for step in ("build", *modes))
    outcomes = []
    for simulation in simulations:
        name = f"{simulation.simulator.name} {simulation.simulator.version}"
        progress(f"{name}: compiling", done, total)
        build(simulation.bundle, simulation.simulator, simulation.work, **config.build)
        done += PARTS["build"]
        for mode in modes:
            begun = done

            def tell(what: str, through: int = 0, of: int = 1, *, name: str = name, begun: int = begun) -> None:
                progress(f"{name}: {what}", begun + PARTS["layers"] * through // of, total)

            if mode == "bulk" and _starves(simulation):
                outcomes.append(_starved(simulation))
            outcomes.append(_run(simulation, mode, tell))
            done += PARTS[mode]
    trim(simulations[0].work, int(config.cache_gb * 1e9))
    return outcomes


def _run(simulation: Simulation, mode: str, tell: Callable[..., None]) -> ModeOutcome:
    """Run one mode; `tell` hears what comes next, and how many of how many layers are done."""
    config = simulation.config
    if mode == "layers":
        return run_layers(simulation, tell)
    count = config.protocol_count if mode == "protocol" else config.bulk_images(simulation.simulator.name)
    tell(f"{mode}, {count} image{'s' if count > 1 else ''}")
    return run_protocol(simulation) if mode == "protocol" else run_bulk(simulation, count)


def _starves(simulation: Simulation) -> bool:
    external = simulation.bundle.manifest.external is not None
    return external and waiting_cycles(simulation.bundle, STARVED) <= STARVED_CYCLES


def _starved(simulation: Simulation) -> ModeOutcome:
    """Bulk mode once more, on two images or batches, with a memory so slow that every layer waits for its words."""
    slow = replace(simulation, memory=STARVED, config=replace(simulation.config, trace_images=0))
    outcome = run_bulk(slow, min(2 * simulation.bundle.manifest.array.batch, len(simulation.images)))
    cases = tuple(replace(case, mode="starved") for case in outcome.cases)
    return replace(outcome, mode="starved", cases=cases)


def _chosen(bundle: Bundle, config: VerifyConfig) -> Chosen:
    """The images of all modes, which take as many of the first as they want."""
    batch = bundle.manifest.array.batch
    wanted = max(config.protocol_count, config.layer_count + batch - 1, *map(config.bulk_images, config.simulators))
    make = choose if config.search else as_stored
    return make(bundle.network, bundle.images, wanted, config.seed)


def _golden_cases(bundle: Bundle) -> Iterable[Case]:
    """The bundle's golden vectors against the reference run on the bundle's network, here and now."""
    expected = run(bundle.network, bundle.images[: bundle.manifest.layer_images])
    expected |= logits(bundle.network, bundle.images)  # of outputs all images are stored
    for entry in bundle.manifest.layers:
        golden = bundle.golden(entry.name)
        wrong = int((golden != expected[entry.name]).sum())
        yield Case(
            simulator="reference",
            mode="golden",
            name=f"layer {entry.name}",
            failure=f"{wrong} golden integers are not what the reference computes" if wrong else None,
        )


def _agreement(outcomes: Sequence[ModeOutcome], modes: Sequence[str], batch: int) -> list[Case]:
    """Whether both simulators made the same events in the same cycles.

    What a `batch` of several images stores for those that never came is anything, so there the data are left out: those
    of all others have been compared with the reference.
    """
    cases = []
    for mode in (mode for mode in modes if mode != "layers"):  # where both have been compared cycle by cycle
        first, second = (outcome for outcome in outcomes if outcome.mode == mode)
        few = min(first.images, second.images)
        failure = _difference(first.sections, second.sections, few if mode == "bulk" else None, batch)
        cases.append(
            Case(
                simulator="both",
                mode=mode,
                name="equal outputs and cycles",
                failure=failure and f"{first.simulator} and {second.simulator} disagree: {failure}",
            )
        )
    return cases


def _difference(first: Sequence[Section], second: Sequence[Section], images: int | None, batch: int) -> str | None:
    if len(first) != len(second):
        return f"{len(first)} and {len(second)} tests are in their event logs"
    for a, b in zip(first, second, strict=True):
        frames_a, frames_b = a.frames[:images], b.frames[:images]
        if len(frames_a) != len(frames_b):
            return f"section {a.mark}: {len(frames_a)} and {len(frames_b)} images"
        for image, (one, other) in enumerate(zip(frames_a, frames_b, strict=True)):
            if one.beats != other.beats:
                return f"section {a.mark}, image {image}: logits {one.beats[:3]}... and {other.beats[:3]}..."
            if one.done != other.done:
                return f"section {a.mark}, image {image}: done in cycles {one.done} and {other.done}"
            mine, others = one.stores, other.stores
            if batch > 1:
                mine, others = ([replace(store, data="") for store in each] for each in (mine, others))
            if mine != others:
                pair = next((x, y) for x, y in zip(mine, others, strict=False) if x != y)
                return f"section {a.mark}, image {image}: {pair[0]} and {pair[1]}"
    return None


def _report(
    simulations: Sequence[Simulation],
    chosen: Chosen,
    outcomes: Sequence[ModeOutcome],
    cases: Sequence[Case],
    seconds: float,
) -> VerifyReport:
    first = simulations[0]
    manifest = first.bundle.manifest
    count = max((outcome.images for outcome in outcomes), default=0)
    names = [entry.name for entry in manifest.layers]
    return VerifyReport(
        net=manifest.net,
        design_hash=manifest.design_hash,
        netlist=manifest.target if manifest.netlist else None,
        simulators=tuple(f"{simulation.simulator.name} {simulation.simulator.version}" for simulation in simulations),
        images=count,
        image_source=chosen.told(count),
        coverage=chosen.coverage(count, _compared_in_full(first.config, manifest.array.batch)),
        seed=first.config.seed,
        values_compared=sum(case.values for case in cases),
        mismatches=sum(case.wrong for case in cases),
        cycles_predicted=manifest.cycles.image,
        cycles_simulated=next((o.cycles for o in reversed(outcomes) if o.cycles is not None), None),
        layer_cycles_predicted=tuple(zip(names, manifest.cycles.layers, strict=True)),
        layer_cycles_simulated=next((o.layer_cycles for o in outcomes if o.layer_cycles), ()),
        cases=tuple(cases),
        waves=tuple(wave for outcome in outcomes for wave in outcome.waves),
        seconds=seconds,
        memory_stalls=next((o.memory_stalls for o in reversed(outcomes) if o.memory_stalls is not None), None),
    )


def _compared_in_full(config: VerifyConfig, batch: int) -> int:
    """Of how many images every layer is compared, in one mode or another; the mode `layers` may leave some out."""
    whole = {
        "protocol": config.protocol_count,
        "bulk": config.trace_images,
        "layers": 0 if config.layers else config.layer_count + batch - 1,
    }
    return max(whole[mode] for mode in config.modes)
