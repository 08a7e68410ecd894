"""The operators of a float network, one file each, found by looking: a file put here is an operator.

Each file defines one subclass of `hwprm.graph.rules.node.Node`, which gives every rule in `RULES`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from hwprm.graph.rules.node import Node

__all__ = ["OPERATORS"]


def _found() -> dict[str, type[Node]]:
    """Every operator of the package by the name that files know it by, in the order of their files."""
    operators: dict[str, type[Node]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for name in module.__all__:
            operators[name] = getattr(module, name)
    return operators


#: Name in ``graph.json`` to operator.
OPERATORS: Mapping[str, type[Node]] = _found()
