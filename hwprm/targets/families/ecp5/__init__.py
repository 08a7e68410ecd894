"""Lattice ECP5: synthesis with yosys, place and route with nextpnr-ecp5, bitstreams with ecppack."""

from pathlib import Path

from hwprm.targets.families.ecp5.board import CARRIER
from hwprm.targets.families.ecp5.devices import DEVICES
from hwprm.targets.families.ecp5.memories import memories
from hwprm.targets.families.ecp5.tools import PLACER, RESOURCES, SYNTHESIS, passes
from hwprm.targets.flow.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="ecp5",
    devices=DEVICES,
    resources=RESOURCES,
    passes=passes,
    marks=SYNTHESIS,
    memories=memories,
    simulated_by=("lattice/common_sim.vh", "lattice/ccu2c_sim.vh"),
    models=Path(__file__).parent / "models",
    placer=PLACER,
    carrier=CARRIER,
)
