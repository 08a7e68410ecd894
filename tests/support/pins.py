"""An emitted bundle, simulated, at a serial port."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np

from hwprm.bundle import Bundle
from hwprm.config import VerifyConfig
from hwprm.config.memory import MemoryConfig
from hwprm.verification.modes.simulation import Simulation, Stimulus, run_folder, write_inputs
from hwprm.verification.simulators.builds import build
from hwprm.verification.simulators.session import Invocation, SessionRun
from hwprm.verification.simulators.tools import find_simulator

__all__ = ["simulated"]

#: Seconds that a simulator may take to begin.
START = 300


@contextmanager
def simulated(bundle: Bundle, work: Path, sim: Literal["icarus", "verilator"] = "icarus") -> Iterator[str]:
    """The name of a serial port on which the pins of `bundle` hang, driven by `tests.support.bridge`.

    Raises AssertionError at the end when the simulation did not go well.
    """
    config = VerifyConfig(sim=sim, optimise=False, timeout=1800, work=work)
    simulation = Simulation(
        bundle=bundle,
        simulator=find_simulator(sim),
        config=config,
        memory=MemoryConfig(),
        work=work,
        images=bundle.images,
        groups=(("stored", len(bundle.images)),),
    )
    logits = np.zeros((len(bundle.images), bundle.manifest.result_words), np.int64)  # compared by who talks to it
    stimulus = Stimulus(mode="port", images=bundle.images, logits=logits, tests=["bridge"], plusargs=[])
    program = build(bundle, simulation.simulator, work, **config.build)
    with run_folder(work) as folder:
        (folder / "mem").symlink_to((bundle.folder / "mem").absolute())
        write_inputs(simulation, stimulus, folder)
        invocation = Invocation(
            simulator=simulation.simulator,
            program=program,
            module="tests.support.bridge",
            tests=stimulus.tests,
            plusargs=stimulus.plusargs,
            seed=1,
            timeout=config.timeout,
        )
        with SessionRun(invocation, folder) as run:
            while not (folder / "port.json").exists() and run.elapsed < START:
                time.sleep(0.05)
            yield json.loads((folder / "port.json").read_text())
            (folder / "end").touch()
            session = run.finish()
    assert session.trouble is None, session.trouble
    assert [case.failure for case in session.cases] == [None], session.cases
