"""The accelerator in Amaranth. Knows `hwprm.isa` and `hwprm.core.numerics` only: no graph, no schedule."""

from hwprm.gateware.accelerator import Accelerator
from hwprm.gateware.core.processing_element import ProcessingElement
from hwprm.gateware.primitives.interfaces import named_ports
from hwprm.gateware.primitives.memories import MemoryTemplates

__all__ = ["Accelerator", "MemoryTemplates", "ProcessingElement", "named_ports"]
