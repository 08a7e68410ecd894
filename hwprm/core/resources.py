"""Where the files that are no Python live: the jinja2 templates, the cocotb testbenches, the recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hwprm.core.errors import ToolError

__all__ = ["constraints_file", "recipe_dir", "resource_dir"]


def resource_dir(kind: Literal["rtl_templates", "sim"]) -> Path:
    """Folder of the files of `kind`: inside an installed wheel first, beside the checkout of an editable install next.

    Raises ToolError when neither is there.
    """
    return _find(kind)


def constraints_file() -> Path:
    """The tested matrix of tool versions. Raises ToolError when this copy of hwprm has none."""
    return _find("constraints.txt")


def recipe_dir() -> Path:
    """Folder of the recipes, TOML files. Raises ToolError when this copy of hwprm has none."""
    return _find("recipes", "examples/recipes")


def _find(name: str, beside: str | None = None) -> Path:
    package = Path(__file__).resolve().parent.parent
    places = (package / "_data" / name, package.parent / (beside or name))
    for place in places:
        if place.exists():
            return place
    raise ToolError(
        f"{name!r} is neither at {places[0]} nor at {places[1]}: this copy of hwprm is incomplete; "
        "install the wheel again, or run from a full checkout with `pip install -e .`"
    )
