"""No vendor: gates and flip-flops of yosys' own library, with memories left for an ASIC flow's macros.

Gates are counted as yosys maps them, before any library and any minimiser: abc takes minutes and saves a hundredth.
"""

from __future__ import annotations

from collections.abc import Sequence

from hwprm.targets.flow.device import Device
from hwprm.targets.flow.family import Family, Resource

__all__ = ["FAMILY"]

#: Modules of the bundle that hold memories; `hwprm compile` writes them as templates to be replaced.
MACROS = ("hwprm_rom", "hwprm_ram")
GATES = "NOT|AND|NAND|OR|NOR|XOR|XNOR|ANDNOT|ORNOT|MUX|NMUX|AOI3|OAI3|AOI4|OAI4|BUF"

RESOURCES = (
    Resource(key="gates", title="gates of 1 to 3 inputs", cells={rf"\$_({GATES})_": 1}, limited=False),
    # Small memories that the gateware has beside its templates become flip-flops here.
    Resource(key="ff", title="FF", cells={r"\$_(DFF|DFFE|SDFF|SDFFE|SDFFCE|DFFSR|ALDFF)_\w+_": 1}, limited=False),
    Resource(key="macros", title="memory macros", cells={"|".join(MACROS): 1}, limited=False),
)


def passes(device: Device, top: str) -> Sequence[str]:
    """Flattened but for the memories, of which ports alone are known: instances that keep their parameters."""
    return (
        "read_verilog -lib rtl/hwprm_r?m.v",
        f"hierarchy -top {top}",
        f"synth -flatten -noabc -top {top}",
        "autoname",
    )


FAMILY = Family(
    name="generic",
    devices=(Device(name="generic", part="gates of yosys", available={}),),
    resources=RESOURCES,
    passes=passes,
    simulated_by=("simcells.v",),
    black_boxes=MACROS,
    marks=(
        ("Executing Verilog", "reading"),
        ("Executing FLATTEN", "flattening"),
        ("Executing ALUMACC", "arithmetic"),
        ("Executing TECHMAP", "logic to gates"),
        ("Executing JSON backend", "writing"),
    ),
    unplaced="gates have no place; choose a device, such as ecp5-85k",
)
