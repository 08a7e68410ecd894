"""What the modes of a verification share: a bundle on a simulator, what it is fed, and a folder to run in."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle import Bundle
from hwprm.bundle.images import write_images
from hwprm.config.memory import MemoryConfig
from hwprm.config.verify import VerifyConfig
from hwprm.core.errors import ConfigError, InputError
from hwprm.core.files import put_file
from hwprm.verification.comparison.compare import Comparison
from hwprm.verification.comparison.events import Section
from hwprm.verification.comparison.external_memory import waiting_cycles
from hwprm.verification.results.report import Case
from hwprm.verification.simulators.builds import build
from hwprm.verification.simulators.session import SETUP, Invocation, Session, SessionRun
from hwprm.verification.simulators.tools import Simulator

__all__ = [
    "ModeOutcome",
    "Simulation",
    "Stimulus",
    "keep_wave",
    "run_folder",
    "running",
    "start_session",
    "write_inputs",
]

IntArray = NDArray[np.int64]
#: Cycles that a test may take beyond what it is predicted to; a small design that hangs costs as many, again and again.
PATIENCE = 20_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Simulation:
    """One bundle on one simulator."""

    bundle: Bundle
    simulator: Simulator
    config: VerifyConfig
    #: The testbench's memory in bulk mode, for designs that read one.
    memory: MemoryConfig
    work: Path
    #: Those of all modes, ``(n, ...)``, each of which takes the first; and how many of them came from where.
    images: IntArray
    groups: tuple[tuple[str, int], ...]

    def case(self, mode: str, name: str, compared: Comparison | None = None) -> Case:
        """The case `name` of `mode` on this simulator, with what was `compared` in it; it passes unless that failed."""
        found = compared or Comparison()
        failure = compared.failure if compared else None
        return Case(
            simulator=self.simulator.name, mode=mode, name=name, values=found.values, wrong=found.wrong, failure=failure
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Stimulus:
    """What one session of ``sim/tb_<bench>.py`` is fed, and which `tests` of it must have run.

    images ``(n, ...)``, logits ``(n, words)`` in the order in which they leave. Tests of `more` modules run too.
    """

    mode: str
    images: IntArray
    logits: IntArray
    tests: Sequence[str]
    plusargs: Sequence[str]
    more: Sequence[str] = ()
    #: Where the tests are another module's than the mode's own.
    bench: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class ModeOutcome:
    """What one mode found on one simulator."""

    mode: str
    simulator: str
    cases: tuple[Case, ...]
    images: int
    sections: tuple[Section, ...] = ()
    cycles: int | None = None
    memory_stalls: int | None = None
    layer_cycles: tuple[tuple[str, int], ...] = ()
    waves: tuple[str, ...] = ()


@contextmanager
def running(simulation: Simulation, stimulus: Stimulus) -> Iterator[Session]:
    """Build, run the `stimulus` in a fresh folder to its end, and give the session while that folder lives."""
    program = build(simulation.bundle, simulation.simulator, simulation.work, **simulation.config.build)
    with run_folder(simulation.work) as folder:
        (folder / "mem").symlink_to((simulation.bundle.folder / "mem").absolute())
        write_inputs(simulation, stimulus, folder)
        with start_session(simulation, stimulus, program, folder) as run:
            session = run.finish()
        yield session


def write_inputs(simulation: Simulation, stimulus: Stimulus, folder: Path) -> None:
    """Write what the testbenches' `Bench` reads: images, their results, the setup; for bulk mode memory files too."""
    np.save(folder / "images.npy", stimulus.images)
    np.save(folder / "logits.npy", stimulus.logits)
    (folder / SETUP).write_text(json.dumps(_setup(simulation, len(stimulus.images))))
    if stimulus.mode == "bulk":
        write_images(stimulus.images, simulation.bundle.manifest.array.act_bits, folder)


def start_session(simulation: Simulation, stimulus: Stimulus, program: Path, folder: Path) -> SessionRun:
    """Start the built `program` on the `stimulus` in `folder`, with a waveform where one is asked for."""
    window = simulation.config.wave_window
    wave = ["+wave=wave.fst", f"+wave_from={window[0]}", f"+wave_to={window[1]}"] if window else []
    invocation = Invocation(
        simulator=simulation.simulator,
        program=program,
        module=",".join(f"tb_{name}" for name in (stimulus.bench or stimulus.mode, *stimulus.more)),
        tests=stimulus.tests,
        plusargs=[*stimulus.plusargs, *wave],
        seed=simulation.config.seed,
        timeout=simulation.config.timeout,
    )
    return SessionRun(invocation, folder)


def keep_wave(simulation: Simulation, mode: str, session: Session) -> tuple[str, ...]:
    """Move the session's waveform to where the user wants it; its path, or nothing when none was recorded."""
    made = session.folder / "wave.fst"
    if simulation.config.wave is None or not made.is_file():
        return ()
    target = (
        simulation.config.wave_dir or Path()
    ) / f"{simulation.bundle.manifest.net}-{simulation.simulator.name}-{mode}.fst"
    try:
        put_file(made, target)
    except InputError as error:
        raise ConfigError(f"the waveform is lost: {error} with verify.wave_dir") from error
    return (str(target),)


@contextmanager
def run_folder(work: Path) -> Iterator[Path]:
    """A fresh folder under `work` that goes with the ``with`` block. Raises ConfigError when there can be none."""
    runs = work / "runs"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=runs))
    except OSError as error:
        raise ConfigError(f"nothing can be run in {work} ({error.strerror}); choose another with --work") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _setup(simulation: Simulation, images: int) -> dict[str, Any]:
    manifest = simulation.bundle.manifest
    cycles, batch = manifest.cycles.image, manifest.array.batch
    # The memory of the bulk mode is as slow as the user says, that of the others as fast as cocotb.
    waiting = max(waiting_cycles(simulation.bundle, memory) for memory in (simulation.memory, MemoryConfig()))
    quiet = manifest.way.silence
    return {
        "seed": simulation.config.seed,
        "images": images,
        "cycles": cycles,
        # Random gaps stretch loading by some ten times at worst; a design that needs longer hangs.
        "limit_cycles": 8 * cycles + 20 * (batch * sum(manifest.host_cycles) + waiting) + 4 * quiet + PATIENCE,
        "batch": batch,
        "host": asdict(manifest.way),
        "beat_bytes": manifest.tdata_bits // 8,
        "external": asdict(manifest.external) if manifest.external else None,
        "design_hash": manifest.design_hash,
        "registers": {r.name: {"offset": r.offset, "value": r.value} for r in manifest.registers},
    }
