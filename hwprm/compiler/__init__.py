"""Integer network to program: schedule, memory plan, column lists, ROM contents, and the exact cycle model."""

from hwprm.compiler.encoding.rom import RomImage
from hwprm.compiler.layout.hardware import accumulator_bits, sum_bits
from hwprm.compiler.program import Program, compile_network, estimate
from hwprm.compiler.timing.cycles import CycleReport, LayerCycles

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
