"""The steps that make the accelerator and prove it."""

from __future__ import annotations

from dataclasses import replace

from hwprm import api
from hwprm.core.errors import HwprmError
from hwprm.pipeline.step import Facts, Step, Task
from hwprm.pipeline.steps.given import Given, dense_of
from hwprm.reporting import verify_facts

__all__ = ["COMPILE", "VERIFY"]


def compile(task: Task) -> Facts:
    """Compile the integer network and emit the bundle."""
    given: Given = task.given
    assert task.before is not None
    settings = task.settings
    bundle = api.compile(task.before, given.split, out=task.place, array=settings.array, emit=settings.emit)
    return {"design_hash": bundle.manifest.design_hash, "dense": _dense_cycles(task)}


def _dense_cycles(task: Task) -> Facts | None:
    """What the network would take before pruning, on the same array with accumulators as wide as that needs.

    None where the hardware cannot hold it at all: pruning may be what made it fit.
    """
    array = replace(task.settings.array, acc_bits=None)
    try:
        report = api.estimate(dense_of(task), array, data=task.given.split, quantize=task.settings.quantize)
    except HwprmError:
        return None
    return {"image": report.total, "layers": {layer.name: layer.cycles for layer in report.layers}}


def verify(task: Task) -> Facts:
    """Simulate the bundle and compare every integer."""
    assert task.before is not None
    settings = task.settings
    report = api.verify(task.before, settings.verify, memory=settings.memory, junit=task.place, progress=task.progress)
    return verify_facts(report)


COMPILE = Step(name="compile", place="bundle", run=compile, options=("array", "emit", "quantize"))
VERIFY = Step(name="verify", place="junit.xml", run=verify, options=("memory", "verify"))
