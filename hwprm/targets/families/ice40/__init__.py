"""Lattice iCE40: synthesis with yosys, place and route with nextpnr-ice40, bitstreams with icepack.

`rtl/hwprm_rom.v` puts tables of 32 words and less, which would take a whole block of 4 kbit each, into LUTs.
"""

from pathlib import Path

from hwprm.targets.families.ice40.board import CARRIER
from hwprm.targets.families.ice40.devices import DEVICES
from hwprm.targets.families.ice40.tools import PLACER, RESOURCES, SYNTHESIS, passes
from hwprm.targets.flow.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="ice40",
    devices=DEVICES,
    resources=RESOURCES,
    passes=passes,
    marks=SYNTHESIS,
    rtl=Path(__file__).parent / "rtl",
    simulated_by=("ice40/cells_sim.v",),
    defines=("NO_ICE40_DEFAULT_ASSIGNMENTS",),  # of ports, which is no Verilog of 2005
    placer=PLACER,
    carrier=CARRIER,
)
