"""How a command behaves, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwprm.config.steps import PruneStep

__all__ = ["RunConfig"]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Output and talk of one command."""

    #: Folder that the command makes; none takes the verb's own name for it.
    out: Path | None = None
    #: How `prune` chooses what goes: admm (budgets per layer) or shrink (one ranking over all layers).
    method: Literal["admm", "shrink"] = "admm"
    #: Last step of `prune`: the method's own, P-RM, compaction, or fine-tuning (where `finetune.epochs` asks for it).
    stop_after: PruneStep = PruneStep.FINETUNE
    #: Model folder whose outputs are part of the loss; `prune` shrinks and fine-tunes a dense model with its own.
    teacher: Path | None = None
    #: Write the results of `verify` to this JUnit XML file.
    junit: Path | None = None
    #: Write the page of `report`, one self-contained HTML file, to this path.
    html: Path | None = None
    #: Cut each layer of a model alone, and report what it loses in accuracy for the cycles that it saves.
    sensitivity: bool = False
    #: Print one JSON object on standard output; progress goes to standard error.
    json: bool = False
    #: Print nothing but errors (and the JSON object, where asked for).
    quiet: bool = False
