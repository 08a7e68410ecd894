"""A row of the papers, and runs of the steps that it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwprm.config import Settings
from hwprm.config.recipes import load_recipe
from hwprm.pipeline.step import Run

ROW = load_recipe("lenet5-conv-232x")
INPUTS = {"network": "lenet5", "width": None, "whole": None, "name": "lenet5", "steps": ROW.steps, "top": 1}


def run_in(out: Path, settings: Settings | None = None, given: Any = None, **inputs: Any) -> Run:
    return Run(out=out, settings=settings or Settings(), inputs=INPUTS | inputs, given=given, origin={"data": "0"})
