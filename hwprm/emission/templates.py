"""The jinja2 templates of ``rtl_templates/``."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hwprm.core.names import one_line
from hwprm.core.resources import resource_dir

__all__ = ["render"]


def render(template: str, **values: Any) -> str:
    """Text of ``rtl_templates/<template>``. A name that is not given raises jinja2.UndefinedError.

    What is filled in stays on its line, and in Markdown in its cell: no text of a network's can leave its place.
    """
    environment = Environment(
        loader=FileSystemLoader(resource_dir("rtl_templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Verilog and Markdown, not HTML
        finalize=_in_a_cell if template.endswith(".md.j2") else _on_a_line,
    )
    return environment.get_template(template).render(**values)


def _on_a_line(value: Any) -> Any:
    return one_line(value) if isinstance(value, str) else value


def _in_a_cell(value: Any) -> Any:
    return re.sub(r"([|<`])", r"\\\1", one_line(value)) if isinstance(value, str) else value
