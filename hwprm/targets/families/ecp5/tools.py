"""What ECP5's cells count as, the passes of yosys, and how nextpnr-ecp5 and ecppack are called."""

from __future__ import annotations

from collections.abc import Sequence

from hwprm.targets.flow.device import Device
from hwprm.targets.flow.family import Placer, Resource

__all__ = ["PLACER", "RESOURCES", "SYNTHESIS", "passes"]

RESOURCES = (
    Resource(key="lut4", title="LUT4", cells={"LUT4": 1}, limited=False),
    Resource(key="carry", title="carry (CCU2C)", cells={"CCU2C": 1}),
    # A carry cell takes two LUT sites, a LUT RAM four; nextpnr adds some to begin and end carry chains.
    Resource(key="comb", title="LUT sites", cells={"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}),
    Resource(key="ff", title="FF", cells={"TRELLIS_FF": 1}),
    Resource(key="dsp", title="DSP (MULT18X18D)", cells={"MULT18X18D": 1}),
    Resource(key="bram", title="block RAM (DP16KD)", cells={"DP16KD|PDPW16KD": 1}),
    Resource(key="lutram", title="LUT RAM (DPR16X4)", cells={"TRELLIS_DPR16X4": 1}),
    # Multiplexers behind pairs of LUTs, free where the pair lies in one slice.
    Resource(key="mux", title="wide multiplexers", cells={"PFUMX|L6MUX21": 1}, limited=False),
)

#: Stages of ``synth_ecp5`` by the passes that begin them.
SYNTHESIS = (
    ("Executing Verilog", "reading"),
    ("Executing FLATTEN", "flattening"),
    ("Executing ALUMACC", "arithmetic"),
    ("Executing MEMORY_LIBMAP", "memories"),
    ("Executing ABC9 pass", "logic to LUTs"),
    ("Executing AUTONAME", "naming"),
    ("Executing JSON backend", "writing"),
)

PLACER = Placer(
    tool="nextpnr-ecp5",
    packer="ecppack",
    pins="--lpf",
    output="--textcfg",
    placed="placed.config",
    arguments=("--lpf-allow-unconstrained",),
    # router1, the default, gives the faster clock, but rips up for hours where nearly all multipliers are in use.
    crowded=("--router", "router2"),
    utilisation={
        "comb": "TRELLIS_COMB",
        "ff": "TRELLIS_FF",
        "dsp": "MULT18X18D",
        "bram": "DP16KD",
        "io": "TRELLIS_IO",
    },
    marks=(
        ("Packing", "packing"),
        ("Creating initial analytic placement", "placing"),
        ("Running main analytical placer", "placing, analytically"),
        ("Running simulated annealing", "placing, annealing"),
        ("Running router", "routing"),
        ("Critical path report", "timing"),
    ),
)


def passes(device: Device, top: str) -> Sequence[str]:
    """All ECP5 devices share one synthesis: ``synth_ecp5`` with all of its last stage but ``hierarchy -check``.

    That would read modules anew whose cells have parameters, as the gateware's multipliers do, and miss the flattened.
    """
    return (f"synth_ecp5 -top {top} -run begin:check", "autoname", "check -noinit", "blackbox =A:whitebox")
