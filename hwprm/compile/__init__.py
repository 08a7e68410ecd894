"""Integer network to program: schedule, memory plan, column lists, ROM contents, and the exact cycle model."""

from hwprm.compile.cycles import CycleReport, LayerCycles
from hwprm.compile.derive import accumulator_bits, sum_bits
from hwprm.compile.program import Program, compile_network, estimate
from hwprm.compile.rom import RomImage

__all__ = [
    "CycleReport",
    "LayerCycles",
    "Program",
    "RomImage",
    "accumulator_bits",
    "compile_network",
    "estimate",
    "sum_bits",
]
