"""One self-contained HTML page about a build or a study: one reads, one arranges, the template draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hwprm.core.files import check_file, write_file
from hwprm.reporting.facts.facts import describe, model_facts
from hwprm.reporting.page.content import Content, gather
from hwprm.reporting.page.study import study_page
from hwprm.reporting.page.summary import Page, curves_page, page_of
from hwprm.sources import holds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwprm.model import Model

__all__ = ["render", "write_curves", "write_page", "write_study"]


def write_page(folder: Path, target: Path) -> None:
    """Write the page about what `folder` holds to the file `target`, whole or not at all.

    Raises InputError when `folder` holds nothing to report or `target` cannot be written.
    """
    check_file(target)
    if holds(folder) == "study":
        write_study(describe(folder), target)
    else:
        write_file(target, render(page_of(gather(folder))))


def write_study(facts: Mapping[str, Any], target: Path) -> None:
    """Write the page about the study of `facts`, the keys of ``explored.json``, to the file `target`."""
    write_file(target, _environment().get_template("study.html.j2").render(page=study_page(facts)))


def write_curves(model: Model, target: Path) -> None:
    """Write the page about the epochs of `model` to the file `target`, whole or not at all."""
    content = Content(facts=model_facts(model), models={model.stage: model})
    write_file(target, render(curves_page(content)))


def render(page: Page) -> str:
    """The page as HTML: no script but the line of a dial, nothing from outside. Same page, same text."""
    return _environment().get_template("page.html.j2").render(page=page)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=True,
    )
    # Parts are told apart by their class.
    environment.tests["a"] = lambda part, name: type(part).__name__ == name
    return environment
