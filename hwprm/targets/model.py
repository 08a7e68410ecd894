"""What a design takes of a device, by a formula and without tools: DSPs exactly, LUTs and flip-flops by a fit.

The coefficients of `coefficients.json` are fitted by ``benchmarks/resources.py`` to synthesised designs; the formula is
a sum over blocks of the gateware, whose terms `hwprm.targets.features` counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hwprm.core.errors import UnsupportedError
from hwprm.isa import Hardware
from hwprm.targets.catalogue import find_target
from hwprm.targets.features import features

__all__ = ["COEFFICIENTS", "Resources", "dsp_blocks", "modelled", "predict"]

#: What the benchmark fits: {family: {"tool": label, "keys": {resource: {block: {feature: coefficient}}}}}.
COEFFICIENTS = Path(__file__).parent / "coefficients.json"
#: Bits of a signed operand of one DSP block, and those that each further one adds.
OPERAND_BITS, PART_BITS = 18, 17


@dataclass(frozen=True, kw_only=True)
class Resources:
    """`used` by the keys of the family's resources that a model has; `tool` is what the model was fitted to."""

    used: Mapping[str, int]
    tool: str


def predict(hw: Hardware, target: str, *, cells: str = "any") -> Resources:
    """What the design `hw`, written in `cells`, takes of the device `target`; a fraction of a millisecond.

    Block RAM is not predicted. Raises ConfigError for an unknown device, UnsupportedError where its family has no
    model.
    """
    family = find_target(target).family.name
    models = _coefficients()
    if family not in models:
        raise UnsupportedError(
            f"{target}: no size model for the family {family}, only for {', '.join(sorted(models))}; "
            "use `hwprm synth` on a bundle"
        )
    counted = features(hw, cells)
    used = {
        key: round(sum(blocks[block][name] * n for block, terms in counted.items() for name, n in terms.items()))
        for key, blocks in models[family]["keys"].items()
    }
    return Resources(used=used | {"dsp": dsp_blocks(hw)}, tool=models[family]["tool"])


def modelled() -> tuple[str, ...]:
    """The families that have a model."""
    return tuple(sorted(_coefficients()))


def dsp_blocks(hw: Hardware) -> int:
    """Multipliers of 18 bits: one an element, one for every part of a lane's sum, one for its residual."""
    # Whole products are cut by synthesis, which leaves a last part of two bits to LUTs; those of fast lanes are cells.
    beyond = max(0, hw.sum_bits - OPERAND_BITS - (not hw.fast))
    lane = 1 + -(-beyond // PART_BITS) + bool(hw.residual_bits)
    return hw.rows * (hw.cols + lane)


@cache
def _coefficients() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(COEFFICIENTS.read_text())
    return found
