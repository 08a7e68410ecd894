"""AMD 7 series: synthesis figures from yosys, and a project script for Vivado, which pip does not have."""

from hwprm.targets.families.xilinx.devices import DEVICES
from hwprm.targets.families.xilinx.tools import RESOURCES, SYNTHESIS, passes
from hwprm.targets.families.xilinx.vivado import project
from hwprm.targets.flow.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="xilinx",
    devices=DEVICES,
    resources=RESOURCES,
    passes=passes,
    marks=SYNTHESIS,
    project=project,
    unplaced="no Python package places and routes 7 series devices",
)
