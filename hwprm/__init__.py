"""hwprm: from a PyTorch network, pruned with structured ADMM and P-RM, to bit-exact systolic-array RTL.

The verbs of the command line are functions here: `load`, `train`, `widths`, `prune`, `export`, `quantize`, `compile`,
`verify`, `estimate`, `size`, `synth`, `pnr`, `board`, `run`, `check`, `report`, `doctor` (documented in `hwprm.api`),
`demo` and `repro` (in `hwprm.pipeline`), `explore` (in `hwprm.exploration`). `apply_plan`, `ensemble`, `qat` and
`sensitivity` are functions only.
Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwprm.api import (
        Admm,
        Shrink,
        apply_plan,
        board,
        check,
        compile,
        doctor,
        ensemble,
        estimate,
        export,
        load,
        pnr,
        prune,
        qat,
        quantize,
        report,
        run,
        sensitivity,
        size,
        synth,
        train,
        verify,
        widths,
    )
    from hwprm.config import (
        AdmmConfig,
        ArrayConfig,
        BoardConfig,
        DataConfig,
        EmitConfig,
        ExploreConfig,
        FinetuneConfig,
        LayerBudget,
        PruneOptions,
        PurifyConfig,
        QatConfig,
        QatOptions,
        QuantizeConfig,
        Settings,
        ShrinkConfig,
        SiliconConfig,
        TrainConfig,
        VerifyConfig,
        WeightsConfig,
        WidthsConfig,
    )
    from hwprm.core.errors import HwprmError
    from hwprm.exploration import Study, explore
    from hwprm.graph import Graph
    from hwprm.intnet import IntegerNetwork
    from hwprm.model import Model, Plan
    from hwprm.pipeline import demo, repro

__all__ = [
    "Admm",
    "AdmmConfig",
    "ArrayConfig",
    "BoardConfig",
    "DataConfig",
    "EmitConfig",
    "ExploreConfig",
    "FinetuneConfig",
    "Graph",
    "HwprmError",
    "IntegerNetwork",
    "LayerBudget",
    "Model",
    "Plan",
    "PruneOptions",
    "PurifyConfig",
    "QatConfig",
    "QatOptions",
    "QuantizeConfig",
    "Settings",
    "Shrink",
    "ShrinkConfig",
    "SiliconConfig",
    "Study",
    "TrainConfig",
    "VerifyConfig",
    "WeightsConfig",
    "WidthsConfig",
    "apply_plan",
    "board",
    "check",
    "compile",
    "demo",
    "doctor",
    "ensemble",
    "estimate",
    "explore",
    "export",
    "load",
    "pnr",
    "prune",
    "qat",
    "quantize",
    "report",
    "repro",
    "run",
    "sensitivity",
    "size",
    "synth",
    "train",
    "verify",
    "widths",
]

#: Where the public names come from that are neither options (``hwprm.config``) nor verbs (``hwprm.api``).
_PLACES = {
    "Admm": "hwprm.api",
    "Graph": "hwprm.graph",
    "HwprmError": "hwprm.core.errors",
    "IntegerNetwork": "hwprm.intnet",
    "Model": "hwprm.model",
    "Plan": "hwprm.model",
    "Shrink": "hwprm.api",
    "Study": "hwprm.exploration",
    "demo": "hwprm.pipeline",
    "explore": "hwprm.exploration",
    "repro": "hwprm.pipeline",
}


#: The other spelling of names, understood too.
_SPELLINGS = {"quantise": "quantize", "QuantiseConfig": "QuantizeConfig"}


def __getattr__(name: str) -> Any:
    name = _SPELLINGS.get(name, name)
    if name not in __all__:
        raise AttributeError(f"module 'hwprm' has no attribute {name!r}")
    place = _PLACES.get(name, "hwprm.config" if name[0].isupper() else "hwprm.api")
    try:
        return getattr(import_module(place), name)
    except ModuleNotFoundError as error:
        from hwprm.core.extras import lacking

        if (said := lacking(error)) is not None:
            raise said from None
        raise


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
