"""Where the files that are no Python live: the jinja2 templates and the cocotb testbenches."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hwprm.errors import ToolError

__all__ = ["resource_dir"]


def resource_dir(kind: Literal["rtl_templates", "sim"]) -> Path:
    """Folder of the files of `kind`: inside an installed wheel first, beside the checkout of an editable install next.

    Raises ToolError when neither is there.
    """
    package = Path(__file__).resolve().parent
    places = (package / "_data" / kind, package.parent / kind)
    for place in places:
        if place.is_dir():
            return place
    raise ToolError(
        f"the files of {kind!r} are neither in {places[0]} nor in {places[1]}: this copy of hwprm is incomplete; "
        "install the wheel again, or run from a full checkout with `pip install -e .`"
    )
