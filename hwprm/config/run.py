"""How a command behaves, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_doc import Doc

from hwprm.config.section import Section
from hwprm.config.steps import PruneStep

__all__ = ["RunConfig"]


@dataclass(frozen=True, kw_only=True)
class RunConfig(Section, section="run"):
    """Output and talk of one command."""

    out: Annotated[Path | None, Doc("Folder that the command makes; none takes the verb's own name for it.")] = None
    method: Annotated[
        Literal["admm", "shrink"],
        Doc("How `prune` chooses what goes: admm (budgets per layer) or shrink (one ranking over all layers)."),
    ] = "admm"
    stop_after: Annotated[
        PruneStep,
        Doc(
            "Last step of `prune`: the method's own, P-RM, compaction, or fine-tuning (where `finetune.epochs` asks "
            "for it)."
        ),
    ] = PruneStep.FINETUNE
    teacher: Annotated[
        Path | None,
        Doc(
            "Model folder whose outputs are part of the loss; `prune` shrinks and fine-tunes a dense model with its "
            "own."
        ),
    ] = None
    junit: Annotated[Path | None, Doc("Write the results of `verify` to this JUnit XML file.")] = None
    html: Annotated[Path | None, Doc("Write the page of `report`, one self-contained HTML file, to this path.")] = None
    sensitivity: Annotated[
        bool, Doc("Cut each layer of a model alone, and report what it loses in accuracy for the cycles that it saves.")
    ] = False
    json: Annotated[bool, Doc("Print one JSON object on standard output; progress goes to standard error.")] = False
    quiet: Annotated[bool, Doc("Print nothing but errors (and the JSON object, where asked for).")] = False
