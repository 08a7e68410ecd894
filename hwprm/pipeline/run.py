"""The main job from end to end: the flow, then report.json and report.html."""

from __future__ import annotations

import json
from pathlib import Path

from hwprm.config import Settings
from hwprm.config.presets import demo_settings
from hwprm.core.files import lock_folder, write_file
from hwprm.pipeline.flow import FLOW
from hwprm.pipeline.step import Facts, Listener, Run, Silent, check_run, run_steps, start_run
from hwprm.pipeline.steps.given import Given
from hwprm.reporting import run_facts
from hwprm.reporting.page import write_page
from hwprm.sources import Split, as_split
from hwprm.training.devices import slow_precision
from hwprm.verification.simulators.tools import find_simulator

__all__ = ["demo", "main_job", "run_demo"]

NETWORK = "lenet5"


def demo(out: Path | str, settings: Settings | None = None) -> Facts:
    """The main job into the folder `out`: train, prune, quantise, compile, emit, verify; returns report.json's content.

    Finished stages found in `out` are reused while their inputs are the same. Raises what the verbs raise.
    """
    return run_demo(Path(out), settings or demo_settings(), Silent())


def main_job(out: Path, settings: Settings, split: Split, data: str | None = None) -> Run:
    """The run of the main job in `out`; `data` identifies the data set, by default its fingerprint."""
    return Run(
        out=out,
        settings=settings,
        inputs={"network": NETWORK, "width": None, "whole": None, "name": NETWORK},
        given=Given(split=split, test=split.dataset),
        origin={"data": data or split.dataset.fingerprint},
    )


def run_demo(out: Path, settings: Settings, listener: Listener) -> Facts:
    """Run the main job into `out` and return the content of ``report.json`` (docs/report.md), shown by ``report.html``.

    Raises what the steps raise; what they finished stays, and the next run goes on from there. Raises InputError when
    another run is at work in `out`.
    """
    with lock_folder(out):
        return _run_demo(out, settings, listener)


def _run_demo(out: Path, settings: Settings, listener: Listener) -> Facts:
    check_run(out)
    # Before anything is written or trained: a wrong folder, or a tool that verification lacks, leaves nothing behind.
    split = as_split(settings.data)
    for name in settings.verify.simulators:
        find_simulator(name)
    data = split.dataset
    start_run(out)
    listener.say(f"data: {data.name}, {data.source}")
    if remark := slow_precision(settings.train):
        listener.say(remark)
    run = main_job(out, settings, split)
    for name in ("report.json", "report.html"):  # an interrupted run must not show the results of the one before
        (out / name).unlink(missing_ok=True)
    run_steps(run, FLOW, listener)
    seconds = {name: done.seconds for name, done in run.done.items()}
    facts = run_facts(out, data, settings, {name: done.facts for name, done in run.done.items()}, seconds)
    write_file(out / "report.json", json.dumps(facts, indent=1, allow_nan=False) + "\n")
    write_page(out, out / "report.html")
    return facts
