"""What rows of one folder share: the dense networks, and the rounds of gradual shrinking."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from hwprm.config import Settings
from hwprm.config.recipes import Recipe
from hwprm.config.settings import option_lines
from hwprm.config.steps import PruneStep
from hwprm.core.files import lock_folder
from hwprm.pipeline.code import code_digest
from hwprm.pipeline.flow import dense_flow
from hwprm.pipeline.step import Listener, Run, run_steps, start_run
from hwprm.pipeline.steps.models import PRUNING
from hwprm.training.distributed import Group

__all__ = ["rounds_of", "run_dense"]


def run_dense(recipe: Recipe, run: Run, shared: Path, listener: Listener) -> Run:
    """The run of the dense network that the row's `run` starts from, in a folder of `shared` that all it reads names.

    The processes of a group of ``torch.distributed`` train together, the first one writes.
    """
    steps = dense_flow(recipe)
    read = sorted({section for step in steps for section in step.options})
    dense = replace(run, out=shared / f"dense-{_digest(run, run.settings, read)}", done={})
    group = Group.current()
    with ExitStack() as locked:
        group.from_first(lambda: locked.enter_context(lock_folder(dense.out)))
        group.from_first(lambda: start_run(dense.out))
        run_steps(dense, steps, listener)
    return dense


def rounds_of(run: Run, shared: Path) -> Path:
    """The folder of `shared` for the rounds of the row's `run`: rows that shrink alike stop in different ones of them.

    What identifies the dense network is in ``run.origin``.
    """
    shrink = run.settings.shrink
    # With several counts, how fast one falls depends on how far the others do.
    free = shrink if len(shrink.counts) > 1 else replace(shrink, compression=1.0, left=None)
    any_limit = replace(run.settings, shrink=free)
    step = PRUNING[PruneStep.SHRINK]
    return shared / f"rounds-{_digest(run, any_limit, step.options, code_digest(step.run))}"


def _digest(run: Run, settings: Settings, sections: Sequence[str], code: str = "") -> str:
    """Of the options of `sections`, of the network and of what identifies the data, twelve digits."""
    named = {name: run.inputs[name] for name in ("network", "width", "whole")}
    inputs = named | {"origin": dict(run.origin)}
    text = "\n".join((*option_lines(settings, sections), json.dumps(inputs, sort_keys=True), code))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
