"""Devices: synthesis of a bundle, place and route, and what both found. docs/silicon.md says how to add one."""

from hwprm.targets.board import OnBoard, build_board, plan_board, write_board
from hwprm.targets.boards.catalogue import find_board
from hwprm.targets.catalogue import TARGETS, Target, find_target
from hwprm.targets.fitting import sized
from hwprm.targets.flow.tools import survey
from hwprm.targets.model import Resources
from hwprm.targets.place import BITSTREAM, Placement, check_placer, place_and_route
from hwprm.targets.results import RESULT, placement_facts, size_facts, synthesis_facts, write_project, write_result
from hwprm.targets.synth import Synthesis, core_netlist, synthesise

__all__ = [
    "BITSTREAM",
    "RESULT",
    "TARGETS",
    "OnBoard",
    "Placement",
    "Resources",
    "Synthesis",
    "Target",
    "build_board",
    "check_placer",
    "core_netlist",
    "find_board",
    "find_target",
    "place_and_route",
    "placement_facts",
    "plan_board",
    "size_facts",
    "sized",
    "survey",
    "synthesis_facts",
    "synthesise",
    "write_board",
    "write_project",
    "write_result",
]
