"""Integer network to program: schedule, memory map, column lists, ROM contents, and the exact cycle model."""

from hwprm.compiler.encoding.rom import RomImage
from hwprm.compiler.layout.hardware import accumulator_bits, sum_bits
from hwprm.compiler.passes.proof import Proof
from hwprm.compiler.program import Outline, Program, compile_network, draft, estimate, outline
from hwprm.compiler.record import ProgramRecord
from hwprm.compiler.timing.cycles import CycleReport, LayerCycles

__all__ = [
    "CycleReport",
    "LayerCycles",
    "Outline",
    "Program",
    "ProgramRecord",
    "Proof",
    "RomImage",
    "accumulator_bits",
    "compile_network",
    "draft",
    "estimate",
    "outline",
    "sum_bits",
]
