"""The main job from end to end: the flow, then report.json."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from hwprm.config import Settings
from hwprm.folders import write_file
from hwprm.pipeline.step import Facts, Job, Listener, run_steps, start_run

if TYPE_CHECKING:
    from hwprm.data import Dataset

__all__ = ["run_demo"]

NETWORK = "lenet5"


def run_demo(out: Path, settings: Settings, listener: Listener) -> Facts:
    """Run the main job into `out` and return the content of ``report.json`` (docs/report.md).

    Raises what the steps raise; what they finished stays, and the next run goes on from there.
    """
    from hwprm.pipeline.flow import FLOW, Given
    from hwprm.report import run_facts
    from hwprm.sources import as_split

    start_run(out)
    split = as_split(settings.data)
    data = split.dataset
    listener.say(f"data: {data.name}, {data.source}")
    inputs = {"network": NETWORK, "data": _fingerprint(data)}
    job = Job(out=out, settings=settings, inputs=inputs, given=Given(network=NETWORK, split=split))
    run_steps(job, FLOW, listener)
    seconds = {name: done.seconds for name, done in job.done.items()}
    facts = run_facts(out, data, settings, {name: done.facts for name, done in job.done.items()}, seconds)
    write_file(out / "report.json", json.dumps(facts, indent=1, allow_nan=False) + "\n")
    return facts


def _fingerprint(data: Dataset) -> str:
    digest = hashlib.sha256(f"{data.name} {data.x_train.dtype} {data.x_train.shape}".encode())
    for array in (data.x_train, data.y_train, data.x_test, data.y_test):
        digest.update(array.tobytes())
    return digest.hexdigest()
