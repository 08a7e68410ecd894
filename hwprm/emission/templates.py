"""The jinja2 templates of ``rtl_templates/``."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hwprm.core.resources import resource_dir

__all__ = ["render"]


def render(template: str, **values: Any) -> str:
    """Text of ``rtl_templates/<template>``. A name that is not given raises jinja2.UndefinedError."""
    environment = Environment(
        loader=FileSystemLoader(resource_dir("rtl_templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Verilog and Markdown, not HTML
    )
    return environment.get_template(template).render(**values)
