"""``report.json`` of the main job: one object from everything that the stages left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwprm.bundle import Bundle
from hwprm.config.options import options_of, show
from hwprm.config.settings import SECTIONS
from hwprm.model import Model
from hwprm.reporting.facts.facts import FORMAT, compression, cycle_facts, in_order, removal_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwprm.config import Settings
    from hwprm.data import Dataset

__all__ = ["run_facts"]

Facts = dict[str, Any]
#: Options that say where things lie on one machine, or how a command talks: no part of a result.
PRIVATE = frozenset({"data.data_dir", "verify.wave_dir", "verify.work"})


def run_facts(
    out: Path, data: Dataset, settings: Settings, done: Mapping[str, Facts], seconds: Mapping[str, float]
) -> Facts:
    """The report of the run in `out`; `done` and `seconds` are facts and times of its steps by name."""
    model = Model.load(out / "stages/finetune")
    bundle = Bundle.load(out / "bundle")
    waterfall = model.meta["waterfall"] + done["quantize"]["waterfall"]
    simulated = done["verify"]["simulated"]
    cycles = cycle_facts(bundle.program.cycles, simulated["layers"], simulated["image"])
    own = bundle.manifest.array
    return {
        "format": FORMAT,
        "net": bundle.manifest.net,
        "data": {"name": data.name, "source": data.source, "train": len(data.y_train), "test": len(data.y_test)},
        "accuracy": in_order(model.meta["accuracy"] | done["quantize"]["accuracy"]),
        "compression": compression(waterfall),
        "waterfall": waterfall,
        **removal_facts(model),
        "array": {key: getattr(own, key) for key in ("rows", "cols", "weight_bits", "act_bits", "acc_bits")},
        "cycles": cycles | {"dense": done["compile"].get("dense")},
        "verify": done["verify"]["verify"],
        "seconds": dict(seconds),
        "options": _options(settings),
    }


def _options(settings: Settings) -> dict[str, dict[str, str]]:
    """Every option as the command line takes it, so that the run can be repeated."""
    return {
        section: {
            option.name: show(getattr(getattr(settings, section), option.name))
            for option in options_of(section, kind)
            if option.key not in PRIVATE
        }
        for section, kind in SECTIONS.items()
        if section != "run"
    }
