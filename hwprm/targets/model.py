"""What a design takes of a device, by a formula and without tools, in milliseconds.

Block RAMs, LUT RAMs and multipliers are counted exactly, flip-flops from the gateware's own registers
(`hwprm.targets.sizes`). LUTs and carry cells are sums of pieces of logic, each with a coefficient of
`coefficients.json`, which ``benchmarks/resources.py`` fits to synthesised designs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hwprm.core.errors import ConfigError, InputError, UnsupportedError
from hwprm.isa import Hardware
from hwprm.isa.hosts import AXI, Host
from hwprm.targets.catalogue import find_target
from hwprm.targets.flow.device import Device
from hwprm.targets.size import exceeded
from hwprm.targets.sizes.carries import carries
from hwprm.targets.sizes.datapath import Features
from hwprm.targets.sizes.design import Design, port_bits
from hwprm.targets.sizes.hosts import difference
from hwprm.targets.sizes.luts import luts
from hwprm.targets.sizes.registers import registers

__all__ = ["COEFFICIENTS", "FITTED", "MODELLED", "Resources", "dsp_blocks", "features", "is_wrapped", "predict"]

#: {resource: {block: {feature: coefficient}}}.
Coefficients = Mapping[str, Mapping[str, Mapping[str, float]]]
#: What the benchmark fits: {"tool": label, "keys": {resource: {block: {feature: coefficient}}}}.
COEFFICIENTS = Path(__file__).parent / "coefficients.json"
#: The family that has a model, and the resources whose coefficients are fitted.
MODELLED, FITTED = "ecp5", ("lut4", "carry")
#: Bits of a signed operand of one DSP block, and those that each further one adds.
OPERAND_BITS, PART_BITS = 18, 17
#: LUT sites of a carry cell and of a LUT RAM.
CARRY_SITES, RAM_SITES = 2, 4


@dataclass(frozen=True, kw_only=True)
class Resources:
    """`used` by the keys of the family's resources, as `device` has them; `tool` is what the model was fitted to."""

    device: Device
    titles: Mapping[str, str]
    used: Mapping[str, int]
    tool: str
    #: What is wrong, with the numbers and the largest array that fits, where the device has too few of something.
    too_large: InputError | None = None

    @property
    def over(self) -> dict[str, tuple[int, int]]:
        """Used and available of every resource of which the device has too few."""
        return exceeded(self.used, self.device.available)


def predict(design: Design, target: str, keys: Coefficients | None = None) -> Resources:
    """What `design` takes of the device `target`, with other coefficients than the committed ones if `keys` are given.

    Raises ConfigError for an unknown device and for cells that it does not have, UnsupportedError where its family has
    no model.
    """
    found = find_target(target)
    if found.family.name != MODELLED:
        raise UnsupportedError(
            f"{target}: no size model for the family {found.family.name}, only for {MODELLED}; "
            "use `hwprm synth` on a bundle"
        )
    if design.cells not in ("any", MODELLED):
        raise ConfigError(f"{target} has no cells of {design.cells}; choose them with --emit-target {MODELLED}, or any")
    model, wrapped = _coefficients(), is_wrapped(design.hardware, found.device, design.host)
    hosted = difference(design.hardware, design.host)
    fitted: Coefficients = keys or model["keys"]
    used = {
        key: round(
            sum(
                value * fitted[key].get(block, {}).get(name, 0.0)
                for block, terms in features(design, key, wrapped=wrapped).items()
                for name, value in terms.items()
            )
            + hosted[key]
        )
        for key in FITTED
    }
    memories = [memory.cells for memory in design.memories]
    held = sum(memory.registers for memory in design.memories)
    flip_flops = sum(registers(design.hardware, design.contents, design.cells).values())
    used |= {
        "ff": flip_flops + held + hosted["ff"] + (sum(port_bits(design.hardware, design.host)) if wrapped else 0),
        "dsp": dsp_blocks(design),
        "bram": sum(cells.blocks for cells in memories),
        "lutram": sum(cells.luts for cells in memories),
    }
    used["comb"] = used["lut4"] + CARRY_SITES * used["carry"] + RAM_SITES * used["lutram"]
    titles = {resource.key: resource.title for resource in found.family.resources if resource.key in used}
    ordered = {key: used[key] for key in titles}
    return Resources(device=found.device, titles=titles, used=ordered, tool=model["tool"])


def features(design: Design, key: str, *, wrapped: bool) -> dict[str, Features]:
    """Block -> feature -> its value, of the resource `key`; `wrapped`: ports are behind shift registers."""
    if key == "carry":
        return carries(design)
    return luts(design) | {"wrapper": {"outputs": port_bits(design.hardware, design.host)[1] * wrapped}}


def is_wrapped(hw: Hardware, device: Device, host: Host = AXI) -> bool:
    """Whether the design has more ports than `device` has pins: synthesis then puts them behind shift registers."""
    return sum(port_bits(hw, host)) + 2 > device.available["io"]


def dsp_blocks(design: Design) -> int:
    """Multipliers of 18 bits: one an element with weights, one for every part of a lane's sum and of the factor of its
    residual.
    """
    hw = design.hardware
    # Whole products are cut by synthesis, which leaves a last part of two bits to LUTs; those of fast lanes are cells.
    beyond = max(0, hw.sum_bits - OPERAND_BITS - (not hw.fast))
    lane = 1 + -(-beyond // PART_BITS)
    if hw.residual_bits:
        # A factor that may be a gate is signed, and one bit wider.
        factor = hw.factor_bits if hw.gates else hw.residual_bits + 1
        lane += 1 + -(-max(0, factor - OPERAND_BITS) // PART_BITS)
    return hw.rows * (design.busy_columns + lane)


@cache
def _coefficients() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(COEFFICIENTS.read_text())
    return found
