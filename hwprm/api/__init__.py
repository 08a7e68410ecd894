"""The verbs as functions. Each takes and returns the nouns of docs/architecture.md; none writes to the terminal.

The main job, `demo`, is in `hwprm.pipeline`, which stands on these.

>>> import hwprm
>>> model = hwprm.train("lenet5", "mnist")
>>> small = hwprm.prune(model, "mnist")
>>> net = hwprm.quantize(small, "mnist")
>>> bundle = hwprm.compile(net, "mnist", out="bundle")
>>> hwprm.verify(bundle).ok
True
"""

from hwprm.api.board import board, run
from hwprm.api.hardware import compile, estimate, pnr, quantize, size, synth, verify
from hwprm.api.integers import qat
from hwprm.api.loops import Admm, Shrink
from hwprm.api.networks import apply_plan, export, load, prune, sensitivity, train, widths
from hwprm.api.reports import check, doctor, report
from hwprm.api.teachers import ensemble

__all__ = [
    "Admm",
    "Shrink",
    "apply_plan",
    "board",
    "check",
    "compile",
    "doctor",
    "ensemble",
    "estimate",
    "export",
    "load",
    "pnr",
    "prune",
    "qat",
    "quantize",
    "report",
    "run",
    "sensitivity",
    "size",
    "synth",
    "train",
    "verify",
    "widths",
]
