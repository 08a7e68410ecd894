"""What 7 series cells count as, and the passes of yosys."""

from __future__ import annotations

from collections.abc import Sequence

from hwprm.targets.flow.device import Device
from hwprm.targets.flow.family import Resource

__all__ = ["RESOURCES", "SYNTHESIS", "passes"]

#: LUTs that a LUT RAM takes, by its cell.
LUTRAM = {"RAM32X1D|RAM64X1D": 2, r"RAM32M|RAM64M|RAM128X1D": 4, r"SRL16E|SRLC16E|SRLC32E": 1}

RESOURCES = (
    # Two small LUTs that share inputs may lie in one; a vendor's tool counts fewer.
    Resource(key="lut6", title="LUT6", cells={r"LUT[1-6]|INV": 1, **LUTRAM}),
    Resource(key="carry", title="carry (CARRY4)", cells={"CARRY4": 1}),
    Resource(key="ff", title="FF", cells={r"FD[RSCP]E(_1)?": 1}),
    Resource(key="dsp", title="DSP (DSP48E1)", cells={"DSP48E1": 1}),
    Resource(key="bram", title="block RAM (36 kbit)", cells={"RAMB36E1": 1, "RAMB18E1": 0.5}),
    Resource(key="mux", title="wide multiplexers", cells={"MUXF[78]": 1}, limited=False),
)

#: Stages of ``synth_xilinx`` by the passes that begin them.
SYNTHESIS = (
    ("Executing Verilog", "reading"),
    ("Executing FLATTEN", "flattening"),
    ("Executing ALUMACC", "arithmetic"),
    ("Executing MEMORY_LIBMAP", "memories"),
    ("Executing ABC pass", "logic to LUTs"),
    ("Executing JSON backend", "writing"),
)


def passes(device: Device, top: str) -> Sequence[str]:
    """Without pads and clock buffers, which the vendor's tool adds."""
    return (f"synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -top {top}", "autoname")
