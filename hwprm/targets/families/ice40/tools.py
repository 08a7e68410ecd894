"""What iCE40's cells count as, the passes of yosys, and how nextpnr-ice40 and icepack are called."""

from __future__ import annotations

from collections.abc import Sequence

from hwprm.targets.flow.device import Device
from hwprm.targets.flow.family import Placer, Resource

__all__ = ["PLACER", "RESOURCES", "SYNTHESIS", "passes"]

RESOURCES = (
    Resource(key="lut4", title="LUT4", cells={"SB_LUT4": 1}),
    Resource(key="carry", title="carry (SB_CARRY)", cells={"SB_CARRY": 1}),
    Resource(key="ff", title="FF", cells={r"SB_DFF\w*": 1}),
    Resource(key="dsp", title="DSP (SB_MAC16)", cells={"SB_MAC16": 1}),
    Resource(key="bram", title="block RAM (SB_RAM40_4K)", cells={r"SB_RAM40_4K\w*": 1}),
)

#: Stages of ``synth_ice40`` by the passes that begin them.
SYNTHESIS = (
    ("Executing Verilog", "reading"),
    ("Executing FLATTEN", "flattening"),
    ("Executing ALUMACC", "arithmetic"),
    ("Executing MEMORY_LIBMAP", "memories"),
    ("Executing ABC pass", "logic to LUTs"),
    ("Executing AUTONAME", "naming"),
    ("Executing JSON backend", "writing"),
)

PLACER = Placer(
    tool="nextpnr-ice40",
    packer="icepack",
    pins="--pcf",
    output="--asc",
    placed="placed.asc",
    arguments=("--pcf-allow-unconstrained",),
    utilisation={"lc": "ICESTORM_LC", "dsp": "ICESTORM_DSP", "bram": "ICESTORM_RAM", "io": "SB_IO"},
    marks=(
        ("Packing", "packing"),
        ("Creating initial analytic placement", "placing"),
        ("Running main analytical placer", "placing, analytically"),
        ("Running simulated annealing", "placing, annealing"),
        ("Routing", "routing"),
        ("Critical path report", "timing"),
    ),
)


def passes(device: Device, top: str) -> Sequence[str]:
    """UP5K has multipliers, HX8K has none; their timing differs as well."""
    return (f"synth_ice40 -top {top} {' '.join(device.synthesis)}",)
