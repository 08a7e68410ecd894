"""A bundle as small as one can be, and stand-ins for the tools of synthesis."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from hwprm.bundle.images import random_images
from hwprm.emission import emit_bundle
from hwprm.intnet import Term
from hwprm.isa.hosts import AXI, Host
from hwprm.targets import place, synth
from hwprm.targets.flow.tools import SiliconTool
from tests.support import silicon_tool
from tests.support.networks import Spec, compiled, network, seeded_weights
from tests.support.silicon_tool import DATA

__all__ = ["DATA", "make_bundle", "silicon_facts", "stand_in"]


def make_bundle(folder: Path, *, target: str = "any", size: int = 1, host: Host = AXI) -> Path:
    """One linear layer, 9 -> 2, on `size` x `size`, in the new `folder`, in cells of `target`, behind `host`."""
    terms = (Term(source="image", weight=seeded_weights(2, 1, 3, 3)),)
    program = compiled(network((1, 3, 3), (Spec(name="fc", terms=terms, wide=True),)), size, size)
    emit_bundle(program, random_images(1, program.network.image_limits, 0), None, folder, target=target, host=host)
    return folder


def silicon_facts(design: str, **changes: Any) -> dict[str, Any]:
    """What `hwprm pnr` leaves of a design, with `changes`."""
    facts = {
        "format": "hwprm-silicon-1",
        "design_hash": design,
        "target": "ecp5-25k",
        "part": "LFE5U-25F-6BG381",
        "resources": {
            "lut4": {"title": "LUT4", "used": 900, "available": None},
            "dsp": {"title": "DSP", "used": 30, "available": 28},
            "io": {"title": "ports, bits", "used": 152, "available": 197},
        },
        "blocks": {"array": {"lut4": 700, "dsp": 30}, "registers": {"lut4": 200, "dsp": 0}},
        "wrapped": False,
        "cycles_per_image": 20_000,
    }
    placed = {
        "fmax_mhz": 48.5,
        "critical_path": [{"block": "store_unit", "signal": "room", "logic_ns": 3.25, "routing_ns": 1.0}],
    }
    return facts | placed | changes


def stand_in(monkeypatch: pytest.MonkeyPatch, notes: Path, fail: str = "") -> None:
    """Let synthesis and place and route find stand-ins, which write a line each into `notes` when they run.

    The tool called `fail` ends with exit code 3 behind ``some words``.
    """

    def find(name: str) -> SiliconTool:
        command = (sys.executable, silicon_tool.__file__, name, str(notes), fail)
        return SiliconTool(name=name, version="1.2", origin="a test", command=command)

    monkeypatch.setattr(synth, "find_tool", find)
    monkeypatch.setattr(place, "find_tool", find)
