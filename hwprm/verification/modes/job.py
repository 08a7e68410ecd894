"""What both modes of a verification share: the bundle, its images and expectations, and a folder to run in."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwprm.bundle import Bundle
from hwprm.config.memory import MemoryConfig
from hwprm.config.verify import VerifyConfig
from hwprm.core.errors import ConfigError
from hwprm.verification.comparison.events import Section
from hwprm.verification.comparison.stalls import waiting_cycles
from hwprm.verification.results.report import Case
from hwprm.verification.simulators.builds import build
from hwprm.verification.simulators.session import PLAN, Session, SessionRun
from hwprm.verification.simulators.tools import Simulator

__all__ = ["Job", "ModeOutcome", "keep_wave", "run_folder", "running", "start_session", "write_inputs"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One bundle on one simulator; of the images ``(n, ...)`` the first `stored` are the bundle's, the rest random."""

    bundle: Bundle
    simulator: Simulator
    config: VerifyConfig
    #: The testbench's memory in bulk mode, for designs that read one.
    memory: MemoryConfig
    work: Path
    images: IntArray
    stored: int


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
def running(
    job: Job,
    mode: str,
    images: IntArray,
    logits: IntArray,
    tests: Sequence[str],
    plusargs: Sequence[str],
    prepare: Callable[[Path], None] | None = None,
) -> Iterator[Session]:
    """Build, run ``sim/tb_<mode>.py`` on `images` in a fresh folder, and give the session while that folder lives.

    images ``(n, ...)``, logits ``(n, words)`` in the order in which they leave; `prepare` may add files.
    """
    program = build(job.bundle, job.simulator, job.work, **job.config.build)
    with run_folder(job.work) as folder:
        (folder / "mem").symlink_to((job.bundle.folder / "mem").absolute())
        write_inputs(job, folder, images, logits)
        if prepare is not None:
            prepare(folder)
        with start_session(job, program, folder, mode, tests, plusargs) as run:
            session = run.finish()
        yield session


def write_inputs(job: Job, folder: Path, images: IntArray, logits: IntArray) -> None:
    """Write what the testbenches' `Bench` reads: images ``(n, C, H, W)``, their results ``(n, words)``, the plan."""
    np.save(folder / "images.npy", images)
    np.save(folder / "logits.npy", logits)
    (folder / PLAN).write_text(json.dumps(_plan(job, len(images))))


def start_session(
    job: Job, program: Path, folder: Path, mode: str, tests: Sequence[str], plusargs: Sequence[str]
) -> SessionRun:
    """Start the built `program` on ``sim/tb_<mode>.py`` in `folder`, with a waveform where one is asked for."""
    window = job.config.wave_window
    wave = ["+wave=wave.fst", f"+wave_from={window[0]}", f"+wave_to={window[1]}"] if window else []
    return SessionRun(
        job.simulator,
        program,
        folder,
        f"tb_{mode}",
        expected_tests=tests,
        plusargs=[*plusargs, *wave],
        seed=job.config.seed,
        timeout=job.config.timeout,
    )


def keep_wave(job: Job, mode: str, session: Session) -> tuple[str, ...]:
    """Move the session's waveform to where the user wants it; its path, or nothing when none was recorded."""
    made = session.folder / "wave.fst"
    if job.config.wave is None or not made.is_file():
        return ()
    target = (job.config.wave_dir or Path()) / f"{job.bundle.manifest.net}-{job.simulator.name}-{mode}.fst"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, target)
    except OSError as error:
        raise ConfigError(
            f"the waveform cannot be written to {target}: {error.strerror}; set verify.wave_dir"
        ) from error
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


def _plan(job: Job, images: int) -> dict[str, Any]:
    manifest = job.bundle.manifest
    cycles, words = manifest.cycles.image, manifest.image_words
    return {
        "seed": job.config.seed,
        "images": images,
        "cycles": cycles,
        # Random gaps stretch loading by some ten times at worst; a design that needs longer hangs.
        "limit_cycles": 8 * cycles + 20 * words + 20_000 + 20 * waiting_cycles(job.bundle, MemoryConfig()),
        "external": asdict(manifest.external) if manifest.external else None,
        "registers": {r.name: {"offset": r.offset, "value": r.value} for r in manifest.registers},
    }
