"""The accelerator in Amaranth. Knows `hwprm.isa` and `hwprm.numerics` only: no graph, no schedule."""

from hwprm.gateware.accelerator import Accelerator
from hwprm.gateware.memories import MemoryTemplates
from hwprm.gateware.processing_element import ProcessingElement

__all__ = ["Accelerator", "MemoryTemplates", "ProcessingElement"]
