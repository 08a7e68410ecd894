"""Verbs that look: check, report, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwprm.core.extras import says_what_it_lacks

if TYPE_CHECKING:
    from torch import nn

    from hwprm.config import (
        DataConfig,
    )
    from hwprm.core.versions import Tool
    from hwprm.data import Dataset
    from hwprm.frontend import Finding
    from hwprm.graph import Graph, Shapes
    from hwprm.model import Model
    from hwprm.sources import Split

    Data = Dataset | Split | DataConfig | str | Path
    Network = nn.Module | Graph | Model | str | Path


__all__ = ["check", "doctor", "report"]


@says_what_it_lacks
def check(source: nn.Module | str | Path, image_shape: Shapes | None = None) -> list[Finding]:
    """Everything in a torch module or a .pt2 or .onnx file that hwprm cannot compile, at once, and notes.

    A module needs `image_shape` ``(C, H, W)``, of several inputs by the names of ``forward``'s arguments. Of a
    reference network's name, or a model folder, it finds nothing: those are made of what hwprm compiles.
    Raises InputError for another name, ModelError when a file holds no network.
    """
    from hwprm.frontend import check as run
    from hwprm.frontend import load
    from hwprm.sources import as_model, check_there

    check_there(source)
    if isinstance(source, str | Path) and not Path(source).is_file():
        as_model(source, ())
        return []
    return run(load(source, image_shape) if isinstance(source, str | Path) else source, image_shape)


def report(folder: Path | str, *, html: Path | str | None = None) -> dict[str, Any]:
    """What is known about a run, row, model, integer network, bundle, widths or study; docs/report.md lists the keys.

    Writes it as one self-contained page to the file `html` too, where that is given.
    Raises InputError when the folder holds none of them, or `html` cannot be written.
    """
    from hwprm.reporting import describe
    from hwprm.reporting.page import write_page

    if html is not None:
        write_page(Path(folder), Path(html))
    return describe(Path(folder))


def doctor() -> tuple[Tool, ...]:
    """The tools that hwprm needs, as installed here, against the tested matrix; those of synthesis last."""
    from hwprm.core.versions import survey
    from hwprm.targets import survey as silicon

    return (*survey(), *silicon())
