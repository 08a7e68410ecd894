"""hwprm: from a PyTorch network, pruned with structured ADMM and P-RM, to bit-exact systolic-array RTL.

The verbs of the command line are functions here: `load`, `train`, `widths`, `prune`, `export`, `quantize`, `compile`,
`verify`, `estimate`, `check`, `report`, `doctor` (documented in `hwprm.api`), `demo` and `repro` (in
`hwprm.pipeline`). `apply_plan` is a function only.
Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from inspect import Signature, signature
from types import ModuleType
from typing import Any

__all__ = [
    "AdmmConfig",
    "ArrayConfig",
    "DataConfig",
    "EmitConfig",
    "FinetuneConfig",
    "Graph",
    "HwprmError",
    "IntegerNetwork",
    "LayerBudget",
    "Model",
    "Plan",
    "PurifyConfig",
    "QuantizeConfig",
    "Settings",
    "ShrinkConfig",
    "TrainConfig",
    "VerifyConfig",
    "WeightsConfig",
    "WidthsConfig",
    "apply_plan",
    "check",
    "compile",
    "demo",
    "doctor",
    "estimate",
    "export",
    "load",
    "prune",
    "quantize",
    "report",
    "repro",
    "train",
    "verify",
    "widths",
]

#: Verbs that share their name with a folder: the folder's module is made callable.
_FOLDERS = frozenset({"compile", "prune", "quantize", "report", "train", "verify"})
_PLACES = {
    "apply_plan": "hwprm.api",
    "check": "hwprm.api",
    "demo": "hwprm.pipeline",
    "doctor": "hwprm.api",
    "repro": "hwprm.pipeline",
    "estimate": "hwprm.api",
    "export": "hwprm.api",
    "load": "hwprm.api",
    "Graph": "hwprm.graph",
    "HwprmError": "hwprm.errors",
    "IntegerNetwork": "hwprm.intnet",
    "Model": "hwprm.model",
    "Plan": "hwprm.plan",
    "widths": "hwprm.api",
}


def __getattr__(name: str) -> Any:
    if name in _FOLDERS:
        return import_module(f"hwprm.{name}")
    if name in __all__:
        return getattr(import_module(_PLACES.get(name, "hwprm.config")), name)
    raise AttributeError(f"module 'hwprm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Verb(ModuleType):
    """A folder whose name is a verb: ``hwprm.prune.purify`` is the folder's, ``hwprm.prune(model)`` does it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function()(*args, **kwargs)

    @property
    def __signature__(self) -> Signature:
        return signature(self._function())

    def _function(self) -> Any:
        return getattr(import_module("hwprm.api"), self.__name__.rpartition(".")[2])


class _Package(ModuleType):
    """This package: whoever imports one of its verb folders first, it ends up callable."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FOLDERS and type(value) is ModuleType:
            value.__class__ = _Verb
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
