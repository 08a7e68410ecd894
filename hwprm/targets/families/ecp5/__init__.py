"""Lattice ECP5: synthesis with yosys, place and route with nextpnr-ecp5, bitstreams with ecppack."""

from hwprm.targets.families.ecp5.devices import DEVICES
from hwprm.targets.families.ecp5.tools import PLACER, RESOURCES, SYNTHESIS, passes
from hwprm.targets.flow.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(name="ecp5", devices=DEVICES, resources=RESOURCES, passes=passes, marks=SYNTHESIS, placer=PLACER)
