"""Layer mode: each layer alone on the compiled simulation, its sources laid into the activation memory beforehand.

Descriptors are those of the layer alone, the repeat bit does the host's part, and the layer's second start ends the
run: from its first start to the second it has taken exactly its cycles. Then the whole activation memory is compared,
every word of every bank, so that a store that goes astray is found although no other layer is there to stumble on it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle.manifest import LayerEntry
from hwprm.compiler import ProgramRecord
from hwprm.core.errors import ConfigError
from hwprm.core.process import first_ended
from hwprm.intnet.reference import run
from hwprm.verification.comparison.activation_memory import ActivationMemory, Contents
from hwprm.verification.comparison.compare import Comparison, compare_logits, compare_tensors
from hwprm.verification.comparison.events import Frame, read_sections
from hwprm.verification.modes.records import Records, records_of
from hwprm.verification.modes.simulation import (
    ModeOutcome,
    Simulation,
    Stimulus,
    keep_wave,
    run_folder,
    start_session,
    write_inputs,
)
from hwprm.verification.modes.single_layer import isolate
from hwprm.verification.results.report import Case
from hwprm.verification.simulators.builds import build
from hwprm.verification.simulators.session import Session, SessionRun

__all__ = ["run_layers"]

IntArray = NDArray[np.int64]
MODE = "layers"
TESTS = ["layer"]


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """One layer of one image, or of the batch that begins with it."""

    image: int
    entry: LayerEntry

    @property
    def name(self) -> str:
        return f"{self.entry.index}_{self.image}"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Started:
    piece: _Piece
    run: SessionRun
    #: Memory as it has to be found afterwards.
    after: Contents
    #: Ends the simulator and removes its folder.
    resources: ExitStack


def run_layers(simulation: Simulation, tell: Callable[[str, int, int], None] | None = None) -> ModeOutcome:
    """Run every chosen layer of the simulation's first images alone; a failing layer does not stop the others.

    `tell` hears which layer comes next, how many are done, and of how many. What has passed is recorded until all is
    done, so that an interrupted run can be resumed. Raises ConfigError for an unknown layer, BundleError when the
    program cannot be understood, ToolError when the simulation does not compile.
    """
    tell = tell or (lambda line, done, total: None)
    bench = _Bench.of(simulation)
    chosen, images = _chosen(simulation), range(simulation.config.layer_count)
    pieces = [_Piece(image=i, entry=entry) for i in images for entry in chosen]
    if not simulation.config.resume:
        bench.records.drop([piece.name for piece in pieces])
    kept = {piece.name: _recalled(bench, piece) for piece in pieces}
    made: dict[str, tuple[Case, int | None]] = {name: case for name, case in kept.items() if case is not None}
    waiting = [piece for piece in pieces if piece.name not in made]
    with closing(_all(bench, waiting, lambda what: tell(what, len(made), len(pieces)))) as finished:
        for piece, case, cycles in finished:
            made[piece.name] = case, cycles
            if case.failure is None:
                bench.records.put(piece.name, asdict(case) | {"cycles": cycles})
    bench.records.drop([piece.name for piece in pieces])
    measured = tuple((p.entry.name, cycles) for p in pieces if p.image == 0 and (cycles := made[p.name][1]) is not None)
    whole = len(measured) == len(simulation.bundle.manifest.layers)
    return ModeOutcome(
        mode=MODE,
        simulator=simulation.simulator.name,
        cases=tuple(made[piece.name][0] for piece in pieces),
        images=simulation.config.layer_count,
        cycles=sum(cycles for _, cycles in measured) if whole else None,
        layer_cycles=measured if whole else (),
    )


def _chosen(simulation: Simulation) -> list[LayerEntry]:
    wanted, layers = simulation.config.layers, simulation.bundle.manifest.layers
    names = [entry.name for entry in layers]
    if unknown := sorted(set(wanted) - set(names)):
        raise ConfigError(f"verify.layers: no layer is called {unknown[0]!r}; there are {', '.join(names)}")
    return [entry for entry in layers if not wanted or entry.name in wanted]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Bench:
    """What all pieces share."""

    simulation: Simulation
    build: Path
    program: ProgramRecord
    memory: ActivationMemory
    #: Every tensor of the chosen images, from the reference.
    tensors: Mapping[str, IntArray]
    records: Records

    @classmethod
    def of(cls, simulation: Simulation) -> _Bench:
        program = simulation.bundle.program
        images = simulation.images[: simulation.config.layer_count - 1 + simulation.bundle.manifest.array.batch]
        built = build(simulation.bundle, simulation.simulator, simulation.work, **simulation.config.build)
        facts = (built.parent.name, str(simulation.config.seed), images.tobytes().hex(), version("hwprm"))
        return cls(
            simulation=simulation,
            build=built,
            program=program,
            memory=ActivationMemory(memory_map=program.memory_map, bits=simulation.bundle.manifest.array.act_bits),
            tensors=run(simulation.bundle.network, images),
            records=records_of(simulation.bundle, simulation.work, facts),
        )

    def tensor(self, name: str, piece: _Piece) -> IntArray:
        """The tensor called `name` of the images of a piece ``(B, C, H, W)``."""
        return self.tensors[name][piece.image : piece.image + self.simulation.bundle.manifest.array.batch]

    def before(self, piece: _Piece) -> Contents:
        """The memory when the layer starts: every tensor that is alive then, and random words elsewhere."""
        net, index = self.simulation.bundle.network, piece.entry.index
        contents = self.memory.random(self.simulation.config.seed + index)
        born = dict.fromkeys(net.inputs, -1) | {layer.name: i for i, layer in enumerate(net.layers)}
        alive = {source for layer in net.layers[index:] for source in layer.sources if born[source] < index}
        for name in sorted(alive):
            self.memory.put(contents, name, self.tensor(name, piece))
        return contents


def _all(
    bench: _Bench, pieces: Sequence[_Piece], tell: Callable[[str], None]
) -> Generator[tuple[_Piece, Case, int | None], None, None]:
    """Run `pieces`, several simulators at a time; what runs when the generator is closed is ended and removed."""
    waiting = list(pieces)
    running: list[_Started] = []
    most = bench.simulation.config.job_count
    with ExitStack() as everything:
        while waiting or running:
            while waiting and len(running) < most:
                piece = waiting.pop(0)
                tell(f"layer {piece.entry.name}")
                started = _start(bench, piece)
                everything.push(started.resources)
                running.append(started)
            ended = first_ended([started.run.process for started in running])
            for started in [started for started in running if started.run.process in ended]:
                running.remove(started)
                with started.resources:
                    case, cycles = _judge(bench, started)
                yield started.piece, case, cycles


def _start(bench: _Bench, piece: _Piece) -> _Started:
    simulation = bench.simulation
    with ExitStack() as stack:
        folder = stack.enter_context(run_folder(simulation.work))
        stored = [entry for entry in simulation.bundle.manifest.layers if not entry.wide]
        store = None if piece.entry.wide else stored.index(piece.entry)
        isolate(bench.program, simulation.bundle.folder / "mem", piece.entry.index, store, folder / "mem")
        contents = bench.before(piece)
        (folder / "memory").mkdir()
        bench.memory.write(contents, folder / "memory")
        if not piece.entry.wide:
            bench.memory.put(contents, piece.entry.name, bench.tensor(piece.entry.name, piece))
        stimulus = Stimulus(
            mode=MODE,
            images=simulation.images[:1],
            logits=np.zeros((1, 1), np.int64),
            tests=TESTS,
            plusargs=["+memory=memory", f"+results={simulation.bundle.manifest.array.batch * piece.entry.wide}"],
        )
        write_inputs(simulation, stimulus, folder)
        run = stack.enter_context(start_session(simulation, stimulus, bench.build, folder))
        return _Started(piece=piece, run=run, after=contents, resources=stack.pop_all())


def _judge(bench: _Bench, started: _Started) -> tuple[Case, int | None]:
    """Compare what a finished piece left behind; the case, and the cycles that it took."""
    entry = started.piece.entry
    session = started.run.finish()
    keep_wave(bench.simulation, f"{MODE}-{started.piece.name}", session)
    frames = read_sections(session.events)[-1].frames
    starts = [cycle for frame in frames for cycle in frame.starts]
    cycles = starts[1] - starts[0] if len(starts) > 1 else None
    predicted = bench.simulation.bundle.manifest.cycles.layers[entry.index]
    comparison = _compare(bench, started, session, frames)
    failure = session.trouble or next((case.failure for case in session.cases if case.failure), None)
    failure = "\n".join(text for text in (comparison.failure, failure) if text) or None
    if failure is None and cycles != predicted:
        failure = f"layer {entry.name!r} takes {cycles} cycles, {predicted} are predicted"
    case = _case(bench, started.piece)
    return (
        replace(
            case,
            values=comparison.values,
            wrong=comparison.wrong,
            seconds=started.run.elapsed,
            failure=failure,
            properties=(("cycles_predicted", str(predicted)), ("cycles_simulated", str(cycles))),
        ),
        cycles,
    )


def _compare(bench: _Bench, started: _Started, session: Session, frames: Sequence[Frame]) -> Comparison:
    entry = started.piece.entry
    tensors = bench.tensor(entry.name, started.piece)
    found = bench.memory.read(session.folder / "memory")
    if entry.wide:
        outputs = [
            other for other in bench.simulation.bundle.manifest.layers if other.wide and other.index < entry.index
        ]
        first = sum(int(np.prod(other.shape)) for other in outputs)
    else:
        got = None if found is None else bench.memory.take(found, entry.name, tensors.shape, signed=entry.signed)
    comparison = Comparison()
    for i, expected in enumerate(tensors):
        image = started.piece.image + i
        if entry.wide:
            beats = frames[i].beats[first : first + expected.size] if i < len(frames) else []
            comparison += compare_logits(Frame(beats=beats), image, [entry], {entry.name: expected})
        else:
            comparison += compare_tensors(None if got is None else got[i], image, entry, expected)
    comparison = comparison.of(bench.simulation.bundle.program.kept_channels.get(entry.name))
    if found is None:
        return comparison + Comparison(extra="the activation memory was not written out")
    astray = int((found != started.after).sum()) - (0 if entry.wide else comparison.wrong)
    return comparison + Comparison(
        extra=f"{astray} words of the activation memory outside of {entry.name!r} were changed" if astray else None
    )


def _case(bench: _Bench, piece: _Piece) -> Case:
    name = f"image {piece.image}, " * (piece.image > 0) + f"layer {piece.entry.name}"
    return bench.simulation.case(MODE, name)


def _recalled(bench: _Bench, piece: _Piece) -> tuple[Case, int | None] | None:
    """The case of a piece that an interrupted run has finished."""
    record = bench.records.get(piece.name)
    if record is None:
        return None
    properties = (*map(tuple, record["properties"]), ("resumed", "true"))
    case = replace(_case(bench, piece), values=record["values"], seconds=record["seconds"], properties=properties)
    return case, record["cycles"]
