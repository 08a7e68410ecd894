"""Devices: synthesis of a bundle, place and route, and what both found. docs/silicon.md says how to add one."""

from hwprm.targets.catalogue import TARGETS, Target, find_target
from hwprm.targets.flow.tools import survey
from hwprm.targets.place import Placement, check_placer, place_and_route
from hwprm.targets.results import RESULT, placement_facts, synthesis_facts, write_project, write_result
from hwprm.targets.synth import Synthesis, core_netlist, synthesise

__all__ = [
    "RESULT",
    "TARGETS",
    "Placement",
    "Synthesis",
    "Target",
    "check_placer",
    "core_netlist",
    "find_target",
    "place_and_route",
    "placement_facts",
    "survey",
    "synthesis_facts",
    "synthesise",
    "write_project",
    "write_result",
]
