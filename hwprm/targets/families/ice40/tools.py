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

#: What SB_MAC16 of a design's own are called meanwhile.
HIDDEN = "hwprm_hidden_mac16"

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
    """UP5K has multipliers, HX8K has none; their timing differs as well.

    While yosys looks for multiplications (``-dsp``, ``ice40_dsp``), SB_MAC16 that a design instantiates itself go by
    another name: it takes them for its own, and overwrites what they are set to.
    Nor is a module to be read anew when the timing model of one of its cells turns up, which misses the flattened.
    """
    synthesis = f"synth_ice40 -top {top} {' '.join(device.synthesis)}"
    if "-dsp" not in device.synthesis:
        return (synthesis,)
    return (
        f"{synthesis} -run begin:coarse",
        "setattr -unset reprocess_after t:SB_MAC16",
        f"copy SB_MAC16 {HIDDEN}",
        f"chtype -set {HIDDEN} t:SB_MAC16",
        f"{synthesis} -run coarse:map_ram",
        f"chtype -set SB_MAC16 t:{HIDDEN}",
        f"delete ={HIDDEN}",
        f"{synthesis} -run map_ram:",
    )
