"""Co-design exploration: spaces of options, exhaustive sweeps and joint searches, studies and their fronts.

What is here is imported when it is used: workers that measure arrays alone do without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwprm.exploration.build import Built, build_point
    from hwprm.exploration.driver import explore
    from hwprm.exploration.points import Point
    from hwprm.exploration.study import Study

__all__ = ["Built", "Point", "Study", "build_point", "explore"]

_PLACES = {"Built": "build", "Point": "points", "Study": "study", "build_point": "build", "explore": "driver"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
